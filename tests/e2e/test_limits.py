"""Promise: rows of any size run in bounded memory, and no command waits for a server that hangs."""

def test_rows_larger_than_the_window(pair, bunny):
    """The window fills before the destination is asked for results, or before the COMMIT."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text)")
    bunny.mirror("m", pair)
    pair.sql("INSERT INTO t SELECT i, repeat(md5(i::text), 3200) FROM generate_series(1, 300) i")
    assert pair.assert_equal(30) == 300
    pair.sql("INSERT INTO t SELECT i, repeat('x', 12000000) FROM generate_series(301, 304) i")
    assert pair.assert_equal(30) == 304
    pair.sql("UPDATE t SET v = v || 'y' WHERE id > 301")
    pair.sql("DELETE FROM t WHERE id = 301")
    assert pair.assert_equal(30) == 303

