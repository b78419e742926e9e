"""How tables are known by their names."""

from medeor.contracts import FileFacts

TEXTS = (".csv", ".tsv", ".txt")
PARQUET = (".parquet", ".pq")
WORKBOOKS = (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods")
TABLES = (*TEXTS, *PARQUET, *WORKBOOKS)

ANY_TABLE = FileFacts(columns=("*",))
