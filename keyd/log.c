/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The one setting that every file must reach without being handed it. */
static _Atomic int threshold = LOG_LEVEL_INFO;

void
log_set_level(enum log_level level)
{
	atomic_store(&threshold, (int)level);
}

enum log_level
log_threshold(void)
{
	return (enum log_level)atomic_load(&threshold);
}

void
log_line(enum log_level level, const char *fmt, ...)
{
	static const char *const sd_prefix[] = { "<3>", "<4>", "<6>", "<7>" };
	static const char *const words[] = { "error: ", "warning: ", "", "" };
	char line[1024];
	va_list ap;
	int n, m;

	if ((int)level > atomic_load(&threshold))
		return;
	n = snprintf(line, sizeof(line), "%s%s",
	    getenv("JOURNAL_STREAM") != NULL ? sd_prefix[level]
					     : "holdfast-keyd: ",
	    words[level]);
	va_start(ap, fmt);
	m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	va_end(ap);
	if (m < 0)
		return;
	n += m;
	if ((size_t)n > sizeof(line) - 2)
		n = (int)sizeof(line) - 2;
	for (int i = 0; i < n; i++)
		if ((unsigned char)line[i] < 0x20)
			line[i] = ' '; /* one message, one line */
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		return; /* nowhere to say so */
}
