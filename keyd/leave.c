/* SPDX-License-Identifier: Apache-2.0 */
#include "leave.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "log.h"

enum { HEARD_SECONDS = 1 /* in which a thread that is well takes a signal */ };

struct late {
	unsigned seconds;
	int signals; /* to be heard of first; -1: none */
};

/* Who hears of a signal takes it, from this descriptor too. */
static void
wait_until_unheard(int signals)
{
	struct pollfd p = { .fd = signals, .events = POLLIN };

	do {
		(void)poll(&p, 1, -1);
		(void)sleep(HEARD_SECONDS);
	} while (poll(&p, 1, 0) != 1);
}

static void *
late_main(void *arg)
{
	struct late late = *(struct late *)arg;

	free(arg);
	if (late.signals >= 0)
		wait_until_unheard(late.signals);
	while (late.seconds > 0)
		late.seconds = sleep(late.seconds);
	log_error("stopping: a call into the library of an HSM does not come "
		  "back; the process ends without it");
	leave(1);
}

/* Without memory or threads a stop is as it was. */
static void
start(unsigned seconds, int signals)
{
	struct late *late = malloc(sizeof(*late));
	sigset_t all, before;
	pthread_t thread;
	int rc;

	if (late == NULL)
		return;
	*late = (struct late){ seconds, signals };
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&thread, NULL, late_main, late);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc == 0)
		(void)pthread_detach(thread);
	else
		free(late);
}

void
leave_within(unsigned seconds)
{
	start(seconds, -1);
}

void
leave_unheard(unsigned seconds)
{
	sigset_t stops;
	int signals;

	(void)sigemptyset(&stops);
	(void)sigaddset(&stops, SIGTERM);
	(void)sigaddset(&stops, SIGINT);
	signals = signalfd(-1, &stops, SFD_CLOEXEC);
	if (signals >= 0)
		start(seconds, signals);
}
