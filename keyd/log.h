/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_LOG_H
#define KEYD_LOG_H

/*
 * The daemon's log: one line a message on standard error, with the priority
 * prefix of sd-daemon(3) when a journal reads it. Never data, never secrets.
 */
enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG
};

/* What is less important than this level is not written; info at first. Any
 * thread. */
void log_set_level(enum log_level level);
enum log_level log_threshold(void);
void log_line(enum log_level level, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
