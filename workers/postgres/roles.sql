-- Who may do what, made and renewed at every start: `nas` owns the database's tables, `nas_reader` reads them.
-- Neither is a superuser. Run by the superuser; the passwords come from files.
\set ON_ERROR_STOP on
\set nas_password `cat /run/secrets/nas_password`
\set reader_password `cat /run/secrets/reader_password`

-- A statement that fails is written to the server's log, and these hold passwords.
SET log_min_error_statement = panic;
SET log_statement = none;
SET log_min_duration_statement = -1;

SELECT 'CREATE ROLE nas' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'nas') \gexec
SELECT 'CREATE ROLE nas_reader' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'nas_reader') \gexec
ALTER ROLE nas LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'nas_password';
ALTER ROLE nas_reader LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'reader_password';
-- Belt and braces: it has no right to write either.
ALTER ROLE nas_reader SET default_transaction_read_only = on;

REVOKE ALL ON DATABASE nas FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE nas TO nas;
GRANT CONNECT ON DATABASE nas TO nas_reader;
GRANT USAGE, CREATE ON SCHEMA public TO nas;
GRANT USAGE ON SCHEMA public TO nas_reader;
-- The tables that are there, and those that nas will make.
GRANT SELECT ON ALL TABLES IN SCHEMA public TO nas_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE nas IN SCHEMA public GRANT SELECT ON TABLES TO nas_reader;
