"""How the names of tables end."""

TEXTS = (".csv", ".tsv", ".txt")
PARQUET = (".parquet", ".pq")
WORKBOOKS = (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods")
TABLES = (*TEXTS, *PARQUET, *WORKBOOKS)
