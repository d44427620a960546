#!/usr/bin/env bash
# Creates the passwords for docker-compose.yml in secrets/. Existing files are kept.
#   workers/make-secrets.sh [FOLDER]
set -euo pipefail
folder=${1:-$(dirname "$0")/../secrets}
umask 077
mkdir -p "$folder"
cd "$folder"
# The folder's mode excludes other users of this machine. The files are readable by all, since the containers mount
# them individually and run under other user IDs.
chmod 700 .

write() {
    [ -s "$1" ] && return
    printf '%s\n' "$2" >"$1"
    chmod 444 "$1"
    echo "made ${folder%/}/$1"
}
random() {
    od -An -N24 -tx1 /dev/urandom | tr -d ' \n'
}

for name in postgres_password nas_password reader_password dashboard_password; do
    write "$name" "$(random)"
done
write nas_url "postgresql://nas:$(cat nas_password)@postgres/nas"
write reader_url "postgresql://nas_reader:$(cat reader_password)@postgres/nas"
