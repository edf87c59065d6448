/* SPDX-License-Identifier: Apache-2.0 */
#include "option.h"

#include <string.h>

bool
options_next(struct options *o)
{
	const char *arg;
	size_t dashes, len;

	if (o->at >= o->argc)
		return false;
	arg = o->argv[o->at++];
	o->name = NULL;
	o->value = arg;
	if (o->ended || arg[0] != '-' || arg[1] == '\0')
		return true;
	if (strcmp(arg, "--") == 0) {
		o->ended = true;
		return options_next(o);
	}
	dashes = arg[1] == '-' ? 2 : 1;
	len = strcspn(arg + dashes, "=");
	if (len >= sizeof(o->buffer)) /* no option of ours is that long */
		len = sizeof(o->buffer) - 1;
	memcpy(o->buffer, arg + dashes, len);
	o->buffer[len] = '\0';
	o->name = o->buffer;
	o->value = strchr(arg, '=');
	if (o->value != NULL)
		o->value++;
	return true;
}

const char *
options_value(struct options *o)
{
	if (o->value != NULL)
		return o->value;
	return o->at < o->argc ? o->argv[o->at++] : NULL;
}

bool
option_is(const struct options *o, const char *name)
{
	return o->name != NULL && strcmp(o->name, name) == 0;
}

bool
option_pair(const char *s, struct hf_pair *out)
{
	const char *equals = s == NULL ? NULL : strchr(s, '=');

	if (equals == NULL || equals == s)
		return false;
	out->name = (struct hf_text){ s, (size_t)(equals - s) };
	out->value = (struct hf_text){ equals + 1, strlen(equals + 1) };
	return true;
}
