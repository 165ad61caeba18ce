#!/bin/sh
# Runs once, when the data folder is new: one role that owns one database, as in the native stack. The image's own
# superuser then loses its password: it is left to the socket inside the container.
set -e
psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
    -v role="$ORDERS_USER" -v database="$ORDERS_DB" -v password="$ORDERS_PASSWORD" -v superuser="$POSTGRES_USER" <<'SQL'
CREATE ROLE :"role" LOGIN PASSWORD :'password';
CREATE DATABASE :"database" OWNER :"role";
ALTER ROLE :"superuser" PASSWORD NULL;
SQL
