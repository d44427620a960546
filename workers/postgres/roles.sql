-- Database roles, created or updated at every start: `nas` owns the tables, `nas_reader` has read access.
-- Neither is a superuser. Run as the superuser; the passwords come from files.
\set ON_ERROR_STOP on
\set nas_password `cat /run/secrets/nas_password`
\set reader_password `cat /run/secrets/reader_password`

-- The server logs failed statements, and these contain passwords.
SET log_min_error_statement = panic;
SET log_statement = none;
SET log_min_duration_statement = -1;

SELECT 'CREATE ROLE nas' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'nas') \gexec
SELECT 'CREATE ROLE nas_reader' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'nas_reader') \gexec
ALTER ROLE nas LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'nas_password';
ALTER ROLE nas_reader LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'reader_password';
-- A second safeguard: the role has no write privileges anyway.
ALTER ROLE nas_reader SET default_transaction_read_only = on;

REVOKE ALL ON DATABASE nas FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE nas TO nas;
GRANT CONNECT ON DATABASE nas TO nas_reader;
GRANT USAGE, CREATE ON SCHEMA public TO nas;
GRANT USAGE ON SCHEMA public TO nas_reader;
-- Existing tables, and tables that nas will create.
GRANT SELECT ON ALL TABLES IN SCHEMA public TO nas_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE nas IN SCHEMA public GRANT SELECT ON TABLES TO nas_reader;
