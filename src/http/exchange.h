/* One request and its answer over libmicrohttpd, whose callbacks these are: what it reads becomes a
 * struct request for the router, what the router answers is sent. Requests that two programs could
 * read in two ways are refused here. Each connection has a thread of its own, which calls this. */
#ifndef BUNNY_EXCHANGE_H
#define BUNNY_EXCHANGE_H

#include <microhttpd.h>

#include "src/http/guard.h"
#include "src/http/router.h"

/* What the callbacks need; the argument of all of them. */
struct listener {
    struct api *api;
    struct guard *guard;
    struct MHD_Daemon *daemon; /* NULL: not started */
};

/* MHD_OPTION_NOTIFY_CONNECTION */
void exchange_connection(void *listener, struct MHD_Connection *connection, void **context,
                         enum MHD_ConnectionNotificationCode code);
/* MHD_OPTION_URI_LOG_CALLBACK: the target as sent, before anything is decoded */
void *exchange_begin(void *listener, const char *target, struct MHD_Connection *connection);
/* The handler: called with the head, then with each piece of the body, then without. */
enum MHD_Result exchange_handle(void *listener, struct MHD_Connection *connection, const char *url,
                                const char *method, const char *version, const char *data,
                                size_t *size, void **state);
/* MHD_OPTION_NOTIFY_COMPLETED */
void exchange_end(void *listener, struct MHD_Connection *connection, void **state,
                  enum MHD_RequestTerminationCode code);

#endif
