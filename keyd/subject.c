/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/bytes.h"
#include "identity.h"

/* Subjects: the names that policy has for identities. */

enum { LOOKUP_FIRST = 1 << 12, LOOKUP_MAX = 1 << 20, TEXT_MAX = 255 };

/* A getpwnam_r-like call with as much memory as it wants. */
enum lookup { LOOKUP_USER, LOOKUP_UID, LOOKUP_GROUP };

struct found {
	uint64_t number; /* uid or gid */
	gid_t gid;       /* users: the primary group */
	char name[SUBJECT_USER_MAX];
};

static int
look_once(enum lookup what, const char *name, uid_t uid, char *buf, size_t size,
    struct found *out, bool *known)
{
	struct passwd pw, *user = NULL;
	struct group gr, *group = NULL;
	int rc;

	if (what == LOOKUP_GROUP) {
		rc = getgrnam_r(name, &gr, buf, size, &group);
		if (rc == 0 && group != NULL)
			out->number = gr.gr_gid;
	} else {
		rc = what == LOOKUP_USER
		    ? getpwnam_r(name, &pw, buf, size, &user)
		    : getpwuid_r(uid, &pw, buf, size, &user);
		if (rc == 0 && user != NULL) {
			out->number = pw.pw_uid;
			out->gid = pw.pw_gid;
			(void)snprintf(
			    out->name, sizeof(out->name), "%s", pw.pw_name);
		}
	}
	*known = user != NULL || group != NULL;
	return rc;
}

/* HF_ERR_NOT_FOUND: the system does not know it. */
static enum hf_err
look_up(enum lookup what, const char *name, uid_t uid, struct found *out)
{
	for (size_t size = LOOKUP_FIRST; size <= LOOKUP_MAX; size *= 4) {
		char *buf = malloc(size);
		bool known = false;
		int rc;

		if (buf == NULL)
			return HF_ERR_NO_MEMORY;
		rc = look_once(what, name, uid, buf, size, out, &known);
		free(buf);
		if (rc == ERANGE)
			continue;
		if (rc != 0 && rc != ENOENT && rc != ESRCH)
			return HF_ERR_SYSTEM;
		return known ? HF_OK : HF_ERR_NOT_FOUND;
	}
	return HF_ERR_SYSTEM;
}

enum hf_err
subject_user_name(uid_t uid, char out[SUBJECT_USER_MAX])
{
	struct found found;
	enum hf_err err = look_up(LOOKUP_UID, NULL, uid, &found);

	if (err != HF_OK)
		return err;
	memcpy(out, found.name, strlen(found.name) + 1);
	return HF_OK;
}

static enum hf_err
parse_number(const char *rest, struct subject *s, struct hf_why *why)
{
	char *end;
	unsigned long v;

	if (rest[0] < '0' || rest[0] > '9')
		return hf_fail(
		    why, HF_ERR_BAD_VALUE, "\"%s\" is not a number", rest);
	errno = 0;
	v = strtoul(rest, &end, 10);
	/* The largest one means "none" to the kernel. */
	if (errno != 0 || *end != '\0' || v >= UINT32_MAX)
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "\"%s\" is not a number from 0 to 4294967294", rest);
	s->number = v;
	return HF_OK;
}

static enum hf_err
parse_name(
    enum lookup what, const char *rest, struct subject *s, struct hf_why *why)
{
	const char *noun = what == LOOKUP_USER ? "user" : "group";
	struct found found;
	enum hf_err err = look_up(what, rest, 0, &found);

	if (err == HF_ERR_NOT_FOUND)
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "there is no %s \"%s\" on this system", noun, rest);
	if (err != HF_OK)
		return hf_fail(
		    why, err, "the %s \"%s\" cannot be looked up", noun, rest);
	s->number = found.number;
	return HF_OK;
}

static enum hf_err
parse_user(const char *rest, struct subject *s, struct hf_why *why)
{
	return parse_name(LOOKUP_USER, rest, s, why);
}

static enum hf_err
parse_group(const char *rest, struct subject *s, struct hf_why *why)
{
	return parse_name(LOOKUP_GROUP, rest, s, why);
}

static enum hf_err
keep_text(const char *rest, struct subject *s)
{
	s->text = strdup(rest);
	return s->text == NULL ? HF_ERR_NO_MEMORY : HF_OK;
}

static enum hf_err
parse_unit(const char *rest, struct subject *s, struct hf_why *why)
{
	static const char allowed[] =
	    ""
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@";
	size_t len = strlen(rest);

	if (strspn(rest, allowed) != len ||
	    !((len > 8 && strcmp(rest + len - 8, ".service") == 0) ||
		(len > 6 && strcmp(rest + len - 6, ".scope") == 0)))
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "\"%s\" is not the name of a unit, such as nginx.service",
		    rest);
	return keep_text(rest, s);
}

static enum hf_err
parse_exe(const char *rest, struct subject *s, struct hf_why *why)
{
	char real[PATH_MAX];

	if (rest[0] != '/' || strstr(rest, "//") != NULL ||
	    strstr(rest, "/./") != NULL || strstr(rest, "/../") != NULL ||
	    rest[strlen(rest) - 1] == '/')
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "\"%s\" is not the absolute path of a file", rest);
	if (realpath(rest, real) != NULL && strcmp(real, rest) != 0)
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "\"%s\" is a link; the kernel knows the program as "
		    "\"%.100s\"",
		    rest, real);
	return keep_text(rest, s);
}

static enum hf_err
parse_cert(const char *rest, struct subject *s, struct hf_why *why)
{
	(void)why;
	return keep_text(rest, s);
}

static enum hf_err
parse_any(const char *rest, struct subject *s, struct hf_why *why)
{
	(void)s;
	if (strcmp(rest, "local") != 0)
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "\"any:local\" expected, for whoever reaches the socket");
	return HF_OK;
}

/* A function each: what follows the colon differs in kind. */
static const struct form {
	const char *prefix;
	enum subject_kind kind;
	enum hf_err (*parse)(
	    const char *rest, struct subject *s, struct hf_why *why);
} forms[] = {
	{ "uid:", SUBJECT_UID, parse_number },
	{ "user:", SUBJECT_UID, parse_user },
	{ "gid:", SUBJECT_GID, parse_number },
	{ "group:", SUBJECT_GID, parse_group },
	{ "unit:", SUBJECT_UNIT, parse_unit },
	{ "exe:", SUBJECT_EXE, parse_exe },
	{ "cert:", SUBJECT_CERT, parse_cert },
	{ "any:", SUBJECT_LOCAL, parse_any },
};

static const struct form *
find_form(struct hf_text text)
{
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
		if (text_starts(text, text_of(forms[i].prefix)))
			return &forms[i];
	return NULL;
}

enum hf_err
subject_parse(struct hf_text text, struct subject *out, struct hf_why *why)
{
	const struct form *form = find_form(text);
	struct subject s = { 0 };
	char rest[TEXT_MAX + 1];
	enum hf_err err;
	size_t skip;

	if (form == NULL)
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "a subject begins with uid:, user:, gid:, group:, unit:, "
		    "exe:, cert: or any:");
	skip = strlen(form->prefix);
	if (text.len == skip || text.len - skip > TEXT_MAX ||
	    memchr(text.ptr, '\0', text.len) != NULL)
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "1 to %d characters expected after \"%s\"", TEXT_MAX,
		    form->prefix);
	memcpy(rest, text.ptr + skip, text.len - skip);
	rest[text.len - skip] = '\0';
	s.kind = form->kind;
	if ((err = form->parse(rest, &s, why)) != HF_OK)
		return err;
	*out = s;
	return HF_OK;
}

void
subject_free(struct subject *subject)
{
	free(subject->text);
	subject->text = NULL;
}

static bool
in_group(const struct identity *id, uint64_t gid)
{
	if (id->gid == gid)
		return true;
	for (size_t i = 0; i < id->group_count; i++)
		if (id->groups[i] == gid)
			return true;
	return false;
}

static bool
same_text(const char *a, const char *b)
{
	return a != NULL && b != NULL && strcmp(a, b) == 0;
}

bool
subject_names(const struct subject *subject, const struct identity *id)
{
	if (subject->kind == SUBJECT_CERT)
		return !id->local && same_text(id->cert, subject->text);
	if (!id->local)
		return false;
	if (subject->kind == SUBJECT_UID)
		return id->uid == subject->number;
	if (subject->kind == SUBJECT_GID)
		return in_group(id, subject->number);
	if (subject->kind == SUBJECT_UNIT)
		return same_text(id->unit, subject->text);
	if (subject->kind == SUBJECT_EXE)
		return id->exe_trusted && same_text(id->exe, subject->text);
	return subject->kind == SUBJECT_LOCAL;
}

/* -- An identity made of subjects -- */

static enum hf_err
add_group(struct identity *id, gid_t gid)
{
	gid_t *grown =
	    reallocarray(id->groups, id->group_count + 1, sizeof(*grown));

	if (grown == NULL)
		return HF_ERR_NO_MEMORY;
	id->groups = grown;
	id->groups[id->group_count++] = gid;
	return HF_OK;
}

/* The groups that the system gives this user at login; none if unknown. */
static enum hf_err
add_groups_of(struct identity *id, uid_t uid)
{
	gid_t groups[IDENTITY_GROUPS];
	int count = IDENTITY_GROUPS;
	struct found user;
	enum hf_err err = look_up(LOOKUP_UID, NULL, uid, &user);

	if (err == HF_ERR_NOT_FOUND)
		return HF_OK;
	if (err != HF_OK)
		return err;
	id->gid = user.gid;
	if (getgrouplist(user.name, user.gid, groups, &count) < 0)
		return HF_ERR_NOT_IDENTIFIED; /* as at the socket */
	for (int i = 0; i < count; i++)
		if ((err = add_group(id, groups[i])) != HF_OK)
			return err;
	return HF_OK;
}

/* Gives `text` to `*slot`; a second, different one is a contradiction. */
static enum hf_err
take_text(char **slot, struct subject *s, struct hf_why *why)
{
	if (*slot != NULL && strcmp(*slot, s->text) != 0)
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "nobody is both \"%s\" and \"%s\"", *slot, s->text);
	free(*slot);
	*slot = s->text;
	s->text = NULL;
	return HF_OK;
}

static enum hf_err
take_subject(struct identity *id, struct subject *s, struct hf_why *why)
{
	if (s->kind == SUBJECT_CERT)
		return take_text(&id->cert, s, why);
	id->local = true;
	if (s->kind == SUBJECT_UNIT)
		return take_text(&id->unit, s, why);
	if (s->kind == SUBJECT_GID)
		return add_group(id, (gid_t)s->number);
	if (s->kind == SUBJECT_EXE) {
		id->exe_trusted = true; /* the question supposes it */
		return take_text(&id->exe, s, why);
	}
	if (s->kind == SUBJECT_UID) {
		if (id->uid != (uid_t)-1 && id->uid != s->number)
			return hf_fail(
			    why, HF_ERR_BAD_VALUE, "nobody has two uids");
		id->uid = (uid_t)s->number;
		return add_groups_of(id, id->uid);
	}
	return HF_OK;
}

static enum hf_err
take_all(struct identity *id, const struct hf_text *subjects, size_t count,
    struct hf_why *why)
{
	enum hf_err err;

	for (size_t i = 0; i < count; i++) {
		struct subject s = { 0 };

		if ((err = subject_parse(subjects[i], &s, why)) != HF_OK)
			return err;
		err = take_subject(id, &s, why);
		subject_free(&s);
		if (err != HF_OK)
			return err;
	}
	if (id->local && id->cert != NULL)
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "a certificate comes over TLS, the other subjects from the "
		    "local socket");
	return HF_OK;
}

enum hf_err
identity_of_subjects(const struct hf_text *subjects, size_t count,
    struct identity **out, struct hf_why *why)
{
	struct identity *id = calloc(1, sizeof(*id));
	enum hf_err err;

	if (id == NULL)
		return HF_ERR_NO_MEMORY;
	id->uid = (uid_t)-1;
	id->gid = (gid_t)-1;
	id->pidfd = -1;
	if ((err = take_all(id, subjects, count, why)) != HF_OK) {
		identity_free(id);
		return err;
	}
	(void)snprintf(id->label, sizeof(id->label), "%zu subjects", count);
	*out = id;
	return HF_OK;
}
