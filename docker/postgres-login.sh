#!/bin/sh
# Run once by the image of Postgres, for a new database: the consumers' login, and the two roles that it may act as.
set -eu
psql --set ON_ERROR_STOP=1 --username postgres --dbname leat --set password="$LEAT_DATABASE_PASSWORD" <<'SQL'
CREATE ROLE authenticated NOLOGIN;
CREATE ROLE service_role NOLOGIN;
CREATE ROLE leat LOGIN PASSWORD :'password' IN ROLE authenticated, service_role;
SQL
