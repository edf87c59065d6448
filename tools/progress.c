/* SPDX-License-Identifier: Apache-2.0 */
#include "progress.h"

#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

/* A signal handler can be handed nothing. */
static struct {
	const char *what;
	volatile sig_atomic_t shown;
} progress;

static void
say(const char *s)
{
	if (write(STDERR_FILENO, s, strlen(s)) < 0)
		return; /* no reader, no progress */
}

static void
on_alarm(int sig)
{
	(void)sig;
	if (!progress.shown) {
		say("holdfast: ");
		say(progress.what);
	}
	progress.shown = true;
	say(".");
}

static void
set_timer(time_t seconds)
{
	struct itimerval t = { { seconds, 0 }, { seconds, 0 } };

	(void)setitimer(ITIMER_REAL, &t, NULL);
}

void
progress_start(const char *what)
{
	struct sigaction act = { .sa_handler = on_alarm,
		.sa_flags = SA_RESTART };

	if (!isatty(STDERR_FILENO))
		return;
	progress.what = what;
	progress.shown = false;
	(void)sigaction(SIGALRM, &act, NULL);
	set_timer(1);
}

void
progress_stop(void)
{
	if (progress.what == NULL)
		return;
	set_timer(0);
	if (progress.shown)
		say("\n");
	progress.what = NULL;
}
