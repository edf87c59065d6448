/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_EVENTS_H
#define KEYD_EVENTS_H

#include <holdfast/err.h>

#include "policy.h"

/*
 * The event feed: what nng calls a PUB socket, one message an event,
 * "<event> <JSON>", so that a subscriber can filter by the event's name. Who
 * may listen is asked of policy: read on sys/events, by uid and groups, before
 * it costs more than a look, and again before the first event after each change
 * of the policies. Slow subscribers lose events; nobody waits for them. A
 * thread takes subscribers in: open the feed after the last fork.
 */
struct events;

enum hf_err events_open(const char *url, struct policy_store *policy,
    struct events **out, struct hf_why *why);
void events_close(struct events *events);

/* Never blocks. `subject` is a name or "". */
void events_publish(
    struct events *events, const char *event, const char *subject);

#endif
