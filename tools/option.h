/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_OPTION_H
#define TOOLS_OPTION_H

#include <stdbool.h>

#include <holdfast/bytes.h>

/*
 * A walk over arguments: "--name value" and "--name=value" are options, "--"
 * ends them, "-" and everything else stands for itself.
 */
struct options {
	int argc;
	char **argv;
	int at;
	bool ended;        /* "--" was seen */
	const char *name;  /* of the present option, without dashes; or NULL */
	const char *value; /* after its "="; or the present argument */
	char buffer[64];   /* holds the name */
};

/* False at the end. Afterwards `name` tells an option from an argument. */
bool options_next(struct options *o);

/* The value of the present option: what its "=" gives, or the next argument.
 * NULL when there is none. */
const char *options_value(struct options *o);

/* "NAME=VALUE", a pair of a context; views into `s`, which may be NULL. */
bool option_pair(const char *s, struct hf_pair *out);

/* Whether the present option is `name`. */
bool option_is(const struct options *o, const char *name);

#endif
