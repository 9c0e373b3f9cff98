"""Two empty databases, one on each cluster, and what a test does with them."""
from .cluster import Cluster
from .compare import assert_equal_databases
from .waiting import wait_for


class Pair:
    """A database at the source and one at the destination; made at once, dropped by drop()."""
    count = 0

    def __init__(self, source: Cluster, dest: Cluster, create_dest=True, extra=""):
        Pair.count += 1
        self.source, self.dest = source, dest
        self.sdb, self.ddb = f"s{Pair.count}", f"d{Pair.count}"
        source.create_db(self.sdb, extra)
        if create_dest:
            dest.create_db(self.ddb)
        self._open = {}

    def _connection(self, cluster, dbname):
        c, start = self._open.get(cluster.name, (None, 0))
        if c is None or c.closed or c.broken or start != cluster.starts:
            c = cluster.connect(dbname)
            self._open[cluster.name] = (c, cluster.starts)
        return c

    @property
    def src(self):
        return self._connection(self.source, self.sdb)

    @property
    def dst(self):
        return self._connection(self.dest, self.ddb)

    def sql(self, text, parameters=None):
        """Runs text at the source, several statements if there are no parameters."""
        cursor = self.src.execute(text, parameters)
        return cursor.fetchall() if cursor.description else []

    def dsql(self, text, parameters=None):
        cursor = self.dst.execute(text, parameters)
        return cursor.fetchall() if cursor.description else []

    # --- waiting -------------------------------------------------------------------------------
    def slots(self):
        return self.source.sql("SELECT slot_name, active FROM pg_replication_slots "
                               "WHERE database = %s", (self.sdb,))

    def publications(self):
        return [r[0] for r in self.sql("SELECT pubname FROM pg_publication")]

    def wait_confirmed(self, limit=60, lsn=None, look=None):
        """Until all slots of the source database have confirmed what is committed there now: then
        it is durable at the destination (the promise of the flush position). look, if given, is
        called meanwhile and may raise what ends the wait."""
        lsn = lsn or self.sql("SELECT pg_current_wal_lsn()")[0][0]
        query = ("SELECT count(*), bool_and(confirmed_flush_lsn >= %s::pg_lsn), "
                 "min(confirmed_flush_lsn) FROM pg_replication_slots "
                 "WHERE database = %s AND NOT temporary")

        def confirmed():
            if look:
                look()
            count, is_there, at = self.source.sql(query, (lsn, self.sdb))[0]
            assert count > 0 and is_there, f"{count} slots, confirmed {at}, wanted {lsn}"
            return True
        wait_for(confirmed, limit, f"the slot to confirm {lsn}")

    def assert_equal(self, limit=60, tables=None, **kw):
        """Waits until the destination has confirmed everything, then compares once."""
        self.wait_confirmed(limit)
        return assert_equal_databases(self.src, self.dst, tables, **kw)

    def wait_value(self, query, wanted, limit=30):
        """Until the first column of the first row at the destination is the wanted value."""
        def there():
            rows = self.dsql(query)
            assert rows and rows[0][0] == wanted, rows[:3]
            return True
        return wait_for(there, limit, f"{query!r} to give {wanted!r}")

    def assert_clean(self):
        """Nothing of a mirror is left at the source, no bookkeeping at the destination."""
        assert not self.slots(), f"slots are left: {self.slots()}"
        assert not self.publications(), f"publications are left: {self.publications()}"
        rows = self.dsql("SELECT to_regclass('_bunnydb.progress')")
        if rows[0][0]:
            left = self.dsql("SELECT * FROM _bunnydb.progress")
            assert not left, f"progress rows are left: {left}"

    def drop(self):
        for c, _ in self._open.values():
            c.close()
        self._open.clear()
        for slot, active in self.slots():
            if active:
                self.source.sql("SELECT pg_terminate_backend(active_pid) "
                                "FROM pg_replication_slots WHERE slot_name = %s", (slot,))
            wait_for(lambda s=slot: self._drop_slot(s), 10, f"slot {slot} to be dropped")
        self.source.drop_db(self.sdb)
        self.dest.drop_db(self.ddb)

    def _drop_slot(self, slot):
        self.source.sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
                        "WHERE slot_name = %s AND NOT active", (slot,))
        return not self.source.sql("SELECT 1 FROM pg_replication_slots WHERE slot_name = %s",
                                   (slot,))
