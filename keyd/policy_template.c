/* SPDX-License-Identifier: Apache-2.0 */
#include "policy_template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/bytes.h"
#include "../lib/context.h"

static const char *const names[CALLER_FACTS] = {
	[CALLER_UID] = "uid",
	[CALLER_GID] = "gid",
	[CALLER_USER] = "user",
	[CALLER_UNIT] = "unit",
	[CALLER_EXE] = "exe",
	[CALLER_CERT] = "cert",
	[CALLER_CERT_SHA256] = "cert_sha256",
};

/* -- Facts -- */

static enum hf_err
keep(char **out, const char *text)
{
	if (text == NULL || text[0] == '\0')
		return HF_OK;
	*out = strdup(text);
	return *out == NULL ? HF_ERR_NO_MEMORY : HF_OK;
}

static enum hf_err
keep_number(char **out, unsigned long number)
{
	if (asprintf(out, "%lu", number) < 0) {
		*out = NULL;
		return HF_ERR_NO_MEMORY;
	}
	return HF_OK;
}

static enum hf_err
keep_user(char **out, uid_t uid)
{
	char name[SUBJECT_USER_MAX];
	enum hf_err err = subject_user_name(uid, name);

	if (err == HF_ERR_NOT_FOUND)
		return HF_OK;
	return err == HF_OK ? keep(out, name) : err;
}

/* The largest number stands for none (identity_of_subjects). */
static enum hf_err
keep_fact(const struct identity *id, enum caller_fact fact, char **out)
{
	if (fact == CALLER_CERT)
		return id->local ? HF_OK : keep(out, id->cert);
	if (fact == CALLER_CERT_SHA256)
		return id->local ? HF_OK : keep(out, id->cert_sha256);
	if (!id->local)
		return HF_OK;
	if (fact == CALLER_UNIT)
		return keep(out, id->unit);
	if (fact == CALLER_EXE)
		return id->exe_trusted ? keep(out, id->exe) : HF_OK;
	if (fact == CALLER_GID)
		return id->gid == (gid_t)-1 ? HF_OK : keep_number(out, id->gid);
	if (id->uid == (uid_t)-1)
		return HF_OK;
	return fact == CALLER_UID ? keep_number(out, id->uid)
				  : keep_user(out, id->uid);
}

enum hf_err
caller_of(const struct identity *id, unsigned wanted, struct caller *out)
{
	struct caller caller = { { NULL } };
	enum hf_err err = HF_OK;

	for (unsigned i = 0; i < CALLER_FACTS && err == HF_OK; i++)
		if ((wanted >> i & 1) != 0)
			err = keep_fact(
			    id, (enum caller_fact)i, &caller.facts[i]);
	if (err != HF_OK)
		caller_free(&caller);
	else
		*out = caller;
	return err;
}

void
caller_free(struct caller *caller)
{
	for (size_t i = 0; i < CALLER_FACTS; i++) {
		free(caller->facts[i]);
		caller->facts[i] = NULL;
	}
}

bool
caller_is_of_process(unsigned facts)
{
	return (facts & (1u << CALLER_UNIT | 1u << CALLER_EXE)) != 0;
}

/* -- Values -- */

/* A piece of a value: plain text, or a fact between "{{" and "}}". */
struct piece {
	struct hf_text text;
	enum caller_fact fact; /* CALLER_FACTS: it is plain */
};

static struct hf_text
without_blanks(struct hf_text t)
{
	while (t.len > 0 && t.ptr[0] == ' ')
		t = (struct hf_text){ t.ptr + 1, t.len - 1 };
	while (t.len > 0 && t.ptr[t.len - 1] == ' ')
		t.len--;
	return t;
}

static size_t
find(struct hf_text t, const char *two)
{
	const char *p = t.len < 2 ? NULL : memmem(t.ptr, t.len, two, 2);

	return p == NULL ? t.len : (size_t)(p - t.ptr);
}

static bool
fact_named(struct hf_text t, enum caller_fact *out)
{
	static const char space[] = "caller.";
	size_t skip = sizeof(space) - 1;

	t = without_blanks(t);
	if (!text_starts(t, text_of(space)))
		return false;
	t = (struct hf_text){ t.ptr + skip, t.len - skip };
	for (unsigned i = 0; i < CALLER_FACTS; i++)
		if (text_is(t, names[i])) {
			*out = (enum caller_fact)i;
			return true;
		}
	return false;
}

/* Takes the next piece from the front of `t`, which is not empty. */
static bool
piece_next(struct hf_text *t, struct piece *out)
{
	size_t len = find(*t, "{{"), skip = len;

	*out = (struct piece){ { t->ptr, len }, CALLER_FACTS };
	if (len == 0) {
		struct hf_text rest = { t->ptr + 2, t->len - 2 };

		len = find(rest, "}}");
		if (len == rest.len ||
		    !fact_named((struct hf_text){ rest.ptr, len }, &out->fact))
			return false;
		skip = len + 4;
	}
	*t = (struct hf_text){ t->ptr + skip, t->len - skip };
	return true;
}

bool
template_valid(struct hf_text t, unsigned *facts)
{
	struct piece piece;

	while (t.len > 0) {
		if (!piece_next(&t, &piece))
			return false;
		if (piece.fact != CALLER_FACTS)
			*facts |= 1u << piece.fact;
	}
	return true;
}

bool
template_speaks_of_caller(struct hf_text t)
{
	for (size_t at = find(t, "{{"); at < t.len; at = find(t, "{{")) {
		t = (struct hf_text){ t.ptr + at + 2, t.len - at - 2 };
		if (text_starts(without_blanks(t), TEXT("caller")))
			return true;
	}
	return false;
}

/* A value with its templates filled, and whether "*" stood at its ends. What
 * the facts are decides neither. */
struct filled {
	bool front, back;
	char text[CONTEXT_VALUE_MAX];
	size_t len;
	bool too_long;
};

static void
fill_add(struct filled *f, struct hf_text t)
{
	if (t.len > sizeof(f->text) - f->len) {
		f->too_long = true;
		return;
	}
	memcpy(f->text + f->len, t.ptr, t.len);
	f->len += t.len;
}

/* False when a fact is not known. */
static bool
fill(struct hf_text t, const struct caller *caller, struct filled *f)
{
	struct piece piece;

	f->front = t.ptr[0] == '*';
	f->back = t.ptr[t.len - 1] == '*';
	t = (struct hf_text){ t.ptr + f->front, t.len - f->front };
	t.len -= t.len > 0 && f->back;
	while (t.len > 0 && piece_next(&t, &piece)) {
		if (piece.fact == CALLER_FACTS)
			fill_add(f, piece.text);
		else if (caller->facts[piece.fact] == NULL)
			return false;
		else
			fill_add(f, text_of(caller->facts[piece.fact]));
	}
	return t.len == 0;
}

static bool
filled_matches(const struct filled *f, struct hf_text value)
{
	struct hf_text core = { f->text, f->len };
	struct hf_text end;

	if (f->too_long || value.len < core.len)
		return false;
	end = (struct hf_text){ value.ptr + (value.len - core.len), core.len };
	if (f->front && f->back)
		return core.len == 0 ||
		    memmem(value.ptr, value.len, core.ptr, core.len) != NULL;
	if (f->front)
		return text_equal(end, core);
	if (f->back)
		return text_starts(value, core);
	return text_equal(value, core);
}

enum template_match
template_matches(
    struct hf_text t, const struct caller *caller, struct hf_text value)
{
	struct filled f = { .len = 0 };

	if (t.len == 0)
		return value.len == 0 ? TEMPLATE_YES : TEMPLATE_NO;
	if (!fill(t, caller, &f))
		return TEMPLATE_UNKNOWN;
	return filled_matches(&f, value) ? TEMPLATE_YES : TEMPLATE_NO;
}
