/* SPDX-License-Identifier: Apache-2.0 */
#include "effects.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/bytes.h"

static _Thread_local struct effects *in_force;

void
effects_enter(struct effects *effects)
{
	assert(in_force == NULL);
	in_force = effects;
}

void
effects_leave(void)
{
	in_force = NULL;
}

bool
effects_dry(void)
{
	return in_force != NULL && in_force->dry;
}

struct effects *
effects_with_rider(void)
{
	return in_force != NULL && in_force->rider != NULL ? in_force : NULL;
}

void
effects_note(const char *action, const char *kind, struct hf_text name)
{
	struct effects *e = in_force;
	char *copy;

	if (e == NULL || !e->dry)
		return;
	copy = e->count < EFFECTS_LISTED ? arena_text(e->arena, name) : NULL;
	if (copy == NULL) {
		e->more++;
		return;
	}
	e->changes[e->count++] = (struct hf_change){ text_of(action),
		text_of(kind), { copy, name.len } };
}

/* What stands under which prefix in the store; record.h says it in full. */
static const struct {
	const char *prefix, *kind; /* kind NULL: not for people */
} prefixes[] = {
	{ "key/", "key" },
	{ "ver/", "version" },
	{ "alias/", "alias" },
	{ "keyring/", "keyring" },
	{ "cert/", "certificate" },
	{ "pin/", "pin" },
	{ "hsm/", "hsm" },
	{ "aliasof/", NULL },
	{ "due/", NULL },
	{ "plan/", NULL },
	{ "use/", NULL },
	{ "clock", NULL },
};

/* "ver/<key id>/<hex>" is version so-and-so. */
static void
note_version(const char *action, struct hf_text rest)
{
	char digits[8] = "", number[24];

	while (rest.len > 0 && *rest.ptr != '/') {
		rest.ptr++;
		rest.len--;
	}
	if (rest.len < 2 || rest.len > sizeof(digits))
		return;
	memcpy(digits, rest.ptr + 1, rest.len - 1);
	(void)snprintf(
	    number, sizeof(number), "%lu", strtoul(digits, NULL, 16));
	effects_note(action, "version", text_of(number));
}

void
effects_note_store(const char *action, struct hf_text stored)
{
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		struct hf_text prefix = text_of(prefixes[i].prefix);
		struct hf_text rest = { stored.ptr + prefix.len,
			stored.len - prefix.len };

		if (!text_starts(stored, prefix))
			continue;
		if (prefixes[i].kind == NULL)
			return;
		if (strcmp(prefixes[i].kind, "version") == 0)
			note_version(action, rest);
		else
			effects_note(action, prefixes[i].kind, rest);
		return;
	}
	effects_note(action, "record", stored);
}
