-- As for the other columns that users may read: 0006_statistics.sql.
alter table leat.entities alter column direct set statistics 0;
