"""The sample databases of contrib/sampledata: names, and loading one into a database."""
import glob
import gzip
import os
import subprocess

from .bunny import TOP
from .cluster import BINDIR

DIRECTORY = os.path.join(TOP, "contrib", "sampledata")
NAMES = sorted(os.path.basename(p).split(".")[0] for p in glob.glob(f"{DIRECTORY}/*.sql.gz"))

# Tables without a key can be mirrored when the whole old row goes into the WAL.
FULL_IDENTITY = """
DO $$
DECLARE t regclass;
BEGIN
  FOR t IN SELECT c.oid FROM pg_class c
           WHERE c.relkind = 'r' AND c.relnamespace::regnamespace::text !~ '^(pg_|information_)'
             AND c.relreplident = 'd'
             AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)
  LOOP
    EXECUTE format('ALTER TABLE %s REPLICA IDENTITY FULL', t);
  END LOOP;
END $$"""


def load_sample(cluster, dbname, name):
    """Loads the dump; every table can be mirrored afterwards."""
    with gzip.open(f"{DIRECTORY}/{name}.sql.gz", "rb") as f:
        text = f.read()
    subprocess.run([f"{BINDIR}/psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", cluster.host,
                    "-p", str(cluster.port), "-U", "postgres", "-d", dbname], input=text,
                   check=True, stdout=subprocess.DEVNULL)
    with cluster.connect(dbname) as c:
        c.execute(FULL_IDENTITY)
