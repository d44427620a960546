#!/usr/bin/env bash
# Makes the passwords of docker-compose.yml, in secrets/ beside it. What is there already is kept.
#   workers/make-secrets.sh [FOLDER]
set -euo pipefail
folder=${1:-$(dirname "$0")/../secrets}
umask 077
mkdir -p "$folder"
cd "$folder"
# Closed to other users of this machine by the folder. The files themselves are readable, for the containers see only
# them, as users with numbers of their own.
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
