-- Where the data lies: a database of flights, and a folder with a Parquet and a CSV file.
CREATE SOURCE ops ENGINE sqlite WITH (path = 'data/flights.db');
CREATE SOURCE wx ENGINE files WITH (path = 'data', tables = {planes: {nulls: ['NA']}});
