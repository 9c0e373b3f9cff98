/* Times that are promised, seen on a machine that runs a dozen other tests meanwhile. */
#ifndef TESTS_PROMISE_H
#define TESTS_PROMISE_H

/* Milliseconds that load may add. What waits for ever, or for its own much longer limit, is told
 * from what keeps its promise all the same. */
#define LOAD_MS 8000

#endif
