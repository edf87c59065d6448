/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/address.h"
#include "../lib/bytes.h"
#include "../lib/fd.h"

enum { FILE_MAX = 65536 };

static const char default_file[] = "/etc/holdfast/pkcs11.conf";

static const struct slot_config defaults = {
	.label = "holdfast",
	.show = SHOW_ALL,
	.types = TYPES_ALL,
	.login = LOGIN_NONE,
	.timeout_ms = 10000,
	.patience_ms = 4000,
	.spin = true,
};

/* -- Values -- */

struct word {
	const char *word;
	unsigned value;
};

static const struct word login_words[] = { { "none", LOGIN_NONE },
	{ "protected", LOGIN_PROTECTED }, { "pin", LOGIN_PIN }, { NULL, 0 } };
static const struct word random_words[] = { { "kernel", 0 }, { "hsm", 1 },
	{ NULL, 0 } };
static const struct word ed25519_words[] = { { "named", 0 }, { "listed", 1 },
	{ NULL, 0 } };
static const struct word version_words[] = { { "1.3", 0 }, { "1.2", 1 },
	{ NULL, 0 } };
static const struct word spin_words[] = { { "never", 0 }, { "auto", 1 },
	{ NULL, 0 } };
static const struct word show_words[] = { { "private", SHOW_PRIVATE },
	{ "public", SHOW_PUBLIC }, { "certificate", SHOW_CERTIFICATE },
	{ "secret", SHOW_SECRET }, { NULL, 0 } };
static const struct word type_words[] = { { "rsa", TYPES_RSA },
	{ "ec", TYPES_EC }, { "ed25519", TYPES_ED25519 }, { "aes", TYPES_AES },
	{ "hmac", TYPES_HMAC }, { NULL, 0 } };

static bool
word_value(const struct word *words, struct hf_text text, unsigned *out)
{
	for (; words->word != NULL; words++) {
		if (!text_is(text, words->word))
			continue;
		*out = words->value;
		return true;
	}
	return false;
}

static struct hf_text
trim(struct hf_text t)
{
	while (t.len > 0 && isspace((unsigned char)t.ptr[0])) {
		t.ptr++;
		t.len--;
	}
	while (t.len > 0 && isspace((unsigned char)t.ptr[t.len - 1]))
		t.len--;
	return t;
}

/* Takes the part before `end` off the front of `rest`. */
static struct hf_text
take_until(struct hf_text *rest, char end)
{
	const char *at =
	    rest->len == 0 ? NULL : memchr(rest->ptr, end, rest->len);
	struct hf_text part = *rest;

	if (at == NULL) {
		*rest = (struct hf_text){ rest->ptr + rest->len, 0 };
		return part;
	}
	part.len = (size_t)(at - rest->ptr);
	rest->ptr += part.len + 1;
	rest->len -= part.len + 1;
	return part;
}

static bool
copy_text(char *to, size_t cap, struct hf_text from)
{
	if (from.len == 0 || from.len >= cap ||
	    memchr(from.ptr, '\0', from.len) != NULL)
		return false;
	memcpy(to, from.ptr, from.len);
	to[from.len] = '\0';
	return true;
}

static bool
read_bits(const struct word *words, struct hf_text value, unsigned *out)
{
	unsigned bits = 0;

	while (value.len > 0) {
		unsigned bit;

		if (!word_value(words, trim(take_until(&value, ',')), &bit))
			return false;
		bits |= bit;
	}
	*out = bits;
	return bits != 0;
}

static bool
read_patterns(struct slot_config *slot, struct hf_text value)
{
	slot->pattern_count = 0;
	while (value.len > 0) {
		if (slot->pattern_count == PATTERNS_MAX ||
		    !copy_text(slot->patterns[slot->pattern_count],
			sizeof(slot->patterns[0]),
			trim(take_until(&value, ','))))
			return false;
		slot->pattern_count++;
	}
	return slot->pattern_count > 0;
}

static bool
read_seconds(struct hf_text value, unsigned least, unsigned *out)
{
	unsigned n = 0;

	if (value.len < 1 || value.len > 4)
		return false;
	for (size_t i = 0; i < value.len; i++) {
		if (value.ptr[i] < '0' || value.ptr[i] > '9')
			return false;
		n = 10 * n + (unsigned)(value.ptr[i] - '0');
	}
	if (n < least || n > 3600)
		return false;
	*out = 1000 * n;
	return true;
}

static bool
read_address(struct slot_config *slot, struct hf_text value)
{
	struct address address;

	return copy_text(slot->address, sizeof(slot->address), value) &&
	    address_parse(slot->address, &address, NULL) == HF_OK;
}

/* Settings that are texts; false in *known for another one. */
static bool
set_text(struct slot_config *slot, struct hf_text key, struct hf_text value,
    bool *known)
{
	const struct {
		const char *key;
		char *to;
		size_t cap;
	} texts[] = {
		{ "token", slot->label, sizeof(slot->label) },
		{ "tls-ca", slot->tls.ca, sizeof(slot->tls.ca) },
		{ "tls-certificate", slot->tls.certificate,
		    sizeof(slot->tls.certificate) },
		{ "tls-key", slot->tls.key, sizeof(slot->tls.key) },
		{ "tls-server-name", slot->tls.server_name,
		    sizeof(slot->tls.server_name) },
	};

	*known = true;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (text_is(key, texts[i].key))
			return copy_text(texts[i].to, texts[i].cap, value);
	*known = false;
	return false;
}

/* One setting of one slot; false when the value is not one. */
static bool
set_value(struct slot_config *slot, struct hf_text key, struct hf_text value,
    bool *known)
{
	bool taken = set_text(slot, key, value, known);
	unsigned n = 0;

	if (*known)
		return taken;
	*known = true;
	if (text_is(key, "address") || text_is(key, "socket"))
		return read_address(slot, value);
	if (text_is(key, "tls-version")) {
		if (!word_value(version_words, value, &n))
			return false;
		slot->tls.allow_tls12 = n != 0;
		return true;
	}
	if (text_is(key, "keys"))
		return read_patterns(slot, value);
	if (text_is(key, "objects"))
		return read_bits(show_words, value, &slot->show);
	if (text_is(key, "types"))
		return read_bits(type_words, value, &slot->types);
	if (text_is(key, "timeout"))
		return read_seconds(value, 1, &slot->timeout_ms);
	if (text_is(key, "patience"))
		return read_seconds(value, 0, &slot->patience_ms);
	if (text_is(key, "login")) {
		if (!word_value(login_words, value, &n))
			return false;
		slot->login = (enum login_mode)n;
		return true;
	}
	if (text_is(key, "random")) {
		if (!word_value(random_words, value, &n))
			return false;
		slot->random_hsm = n != 0;
		return true;
	}
	if (text_is(key, "ed25519")) {
		if (!word_value(ed25519_words, value, &n))
			return false;
		slot->lists_ed25519 = n != 0;
		return true;
	}
	if (text_is(key, "spin")) {
		if (!word_value(spin_words, value, &n))
			return false;
		slot->spin = n != 0;
		return true;
	}
	*known = false;
	return false;
}

/* -- The file -- */

struct parser {
	struct config *config;
	struct slot_config base; /* what stands before the first section */
	const char *file;
	unsigned line;
	struct hf_why *why;
};

static enum hf_err
fail(const struct parser *p, const char *what, struct hf_text word)
{
	return hf_fail(p->why, HF_ERR_BAD_SETTINGS, "%s:%u: %s: %.*s", p->file,
	    p->line, what, (int)(word.len > 60 ? 60 : word.len), word.ptr);
}

static enum hf_err
add_slot(struct parser *p, struct hf_text label)
{
	struct config *c = p->config;
	struct slot_config *slots;

	if (c->count == SLOTS_MAX)
		return fail(p, "too many slots", label);
	slots = realloc(c->slots, (c->count + 1) * sizeof(*slots));
	if (slots == NULL)
		return HF_ERR_NO_MEMORY;
	c->slots = slots;
	slots[c->count] = p->base;
	if (!copy_text(slots[c->count].label, sizeof(slots->label), label) ||
	    !utf8_valid(label))
		return fail(p, "a label has 1 to 32 bytes of UTF-8", label);
	for (size_t i = 0; i < c->count; i++)
		if (text_is(label, slots[i].label))
			return fail(p, "two slots of one label", label);
	c->count++;
	return HF_OK;
}

static enum hf_err
parse_line(struct parser *p, struct hf_text line)
{
	struct slot_config *slot = p->config->count == 0
	    ? &p->base
	    : &p->config->slots[p->config->count - 1];
	struct hf_text key, value = line;
	bool known;

	if (line.ptr[0] == '[') {
		if (line.ptr[line.len - 1] != ']')
			return fail(p, "a section needs a ]", line);
		return add_slot(
		    p, trim((struct hf_text){ line.ptr + 1, line.len - 2 }));
	}
	if (memchr(line.ptr, '=', line.len) == NULL)
		return fail(p, "neither [label] nor key = value", line);
	key = trim(take_until(&value, '='));
	value = trim(value);
	if (set_value(slot, key, value, &known))
		return HF_OK;
	return known ? fail(p, "not a value for this setting", line)
		     : fail(p, "there is no such setting", key);
}

enum hf_err
config_parse(struct hf_text text, const char *file, struct config *out,
    struct hf_why *why)
{
	struct config config = { 0 };
	struct parser p = {
		.config = &config, .base = defaults, .file = file, .why = why
	};
	enum hf_err err = HF_OK;

	while (text.len > 0 && err == HF_OK) {
		struct hf_text whole = take_until(&text, '\n');
		struct hf_text line = trim(take_until(&whole, '#'));

		p.line++;
		if (line.len > 0)
			err = parse_line(&p, line);
	}
	if (err == HF_OK && config.count == 0)
		err = add_slot(&p, text_of(p.base.label));
	if (err != HF_OK) {
		config_free(&config);
		return err;
	}
	*out = config;
	return HF_OK;
}

/* -- The host's string -- */

/* The next word of `rest`, in which ' and " keep white space together. */
static bool
next_word(const char **rest, char *out, size_t cap)
{
	const char *p = *rest;
	size_t n = 0;
	char quote = '\0';

	while (isspace((unsigned char)*p))
		p++;
	for (; *p != '\0' && (quote != '\0' || !isspace((unsigned char)*p));
	     p++) {
		if (quote == '\0' && (*p == '\'' || *p == '"')) {
			quote = *p;
		} else if (*p == quote) {
			quote = '\0';
		} else {
			if (n + 1 == cap)
				return false;
			out[n++] = *p;
		}
	}
	out[n] = '\0';
	*rest = p;
	return quote == '\0';
}

enum hf_err
config_override(struct config *config, const char *reserved, struct hf_why *why)
{
	const char *rest = reserved;
	char word[512];

	for (;;) {
		struct hf_text key, value;
		bool known;

		if (!next_word(&rest, word, sizeof(word)))
			return hf_fail(why, HF_ERR_BAD_SETTINGS,
			    "a word is too long or a quote does not end");
		if (*word == '\0' && *rest == '\0')
			return HF_OK;
		value = text_of(word);
		key = take_until(&value, '=');
		if (text_is(key, "config"))
			continue; /* read before */
		if (!set_value(&config->slots[0], key, value, &known))
			return hf_fail(why, HF_ERR_BAD_SETTINGS, "%s: %.*s",
			    known ? "not a value for this setting"
				  : "there is no such setting",
			    (int)key.len, key.ptr);
	}
}

/* The value of config= in the host's string; false when there is none. */
static bool
config_path(const char *reserved, char *out, size_t cap)
{
	static const char prefix[] = "config=";
	const char *rest = reserved;
	char word[512];

	while (rest != NULL && next_word(&rest, word, sizeof(word)) &&
	    *word != '\0')
		if (strncmp(word, prefix, sizeof(prefix) - 1) == 0)
			return copy_text(
			    out, cap, text_of(word + sizeof(prefix) - 1));
	return false;
}

/* -- All of it -- */

/* Reads at most FILE_MAX bytes; a file that is longer is refused. */
static enum hf_err
read_file(
    const char *path, char *buf, size_t *len, bool *missing, struct hf_why *why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct hf_why reason = { "" };
	size_t n = 0;
	enum hf_err err;

	*missing = fd < 0 && errno == ENOENT;
	if (fd < 0)
		return hf_fail(why, HF_ERR_BAD_SETTINGS, "%s: %s", path,
		    strerrordesc_np(errno));
	err = fd_read(fd, buf, FILE_MAX, &n, &reason);
	fd_close(fd);
	if (err != HF_OK)
		return hf_fail(
		    why, HF_ERR_BAD_SETTINGS, "%s: %s", path, reason.text);
	if (n == FILE_MAX)
		return hf_fail(why, HF_ERR_BAD_SETTINGS, "%s: too long", path);
	*len = n;
	return HF_OK;
}

static enum hf_err
load_file(const char *path, bool may_be_missing, struct config *out,
    struct hf_why *why)
{
	char *buf = malloc(FILE_MAX);
	bool missing;
	size_t len = 0;
	enum hf_err err;

	if (buf == NULL)
		return HF_ERR_NO_MEMORY;
	err = read_file(path, buf, &len, &missing, why);
	if (err != HF_OK && missing && may_be_missing)
		err = HF_OK;
	if (err == HF_OK)
		err =
		    config_parse((struct hf_text){ buf, len }, path, out, why);
	free(buf);
	return err;
}

static enum hf_err
set_from_environment(struct config *config, struct hf_why *why)
{
	static const struct {
		const char *variable, *key;
	} vars[] = { { "HOLDFAST_SOCKET", "address" },
		{ "HOLDFAST_TOKEN", "token" }, { "HOLDFAST_TLS_CA", "tls-ca" },
		{ "HOLDFAST_TLS_CERTIFICATE", "tls-certificate" },
		{ "HOLDFAST_TLS_KEY", "tls-key" },
		{ "HOLDFAST_TLS_SERVER_NAME", "tls-server-name" },
		{ "HOLDFAST_TLS_VERSION", "tls-version" } };

	for (size_t i = 0; i < sizeof(vars) / sizeof(vars[0]); i++) {
		const char *value = secure_getenv(vars[i].variable);
		bool known;

		if (value == NULL || *value == '\0')
			continue;
		if (!set_value(&config->slots[0], text_of(vars[i].key),
			text_of(value), &known))
			return hf_fail(why, HF_ERR_BAD_SETTINGS,
			    "%s has no usable value", vars[i].variable);
	}
	return HF_OK;
}

bool
config_is_remote(const struct slot_config *slot)
{
	struct address address;

	return slot->address[0] != '\0' &&
	    address_parse(slot->address, &address, NULL) == HF_OK &&
	    address.kind == ADDRESS_TLS;
}

enum hf_err
config_check(const struct config *config, struct hf_why *why)
{
	for (size_t i = 0; i < config->count; i++) {
		const struct slot_config *slot = &config->slots[i];

		if (config_is_remote(slot) &&
		    (slot->tls.ca[0] == '\0' ||
			slot->tls.certificate[0] == '\0' ||
			slot->tls.key[0] == '\0'))
			return hf_fail(why, HF_ERR_BAD_SETTINGS,
			    "[%s]: %s needs tls-ca, tls-certificate and "
			    "tls-key",
			    slot->label, slot->address);
	}
	return HF_OK;
}

enum hf_err
config_load(const char *reserved, struct config *out, struct hf_why *why)
{
	const char *named = secure_getenv("HOLDFAST_PKCS11_CONFIG");
	struct config config = { 0 };
	char path[4096];
	enum hf_err err;

	if (config_path(reserved, path, sizeof(path)))
		named = path;
	err = named != NULL && *named != '\0'
	    ? load_file(named, false, &config, why)
	    : load_file(default_file, true, &config, why);
	if (err != HF_OK)
		return err;
	err = set_from_environment(&config, why);
	if (err == HF_OK && reserved != NULL)
		err = config_override(&config, reserved, why);
	if (err == HF_OK)
		err = config_check(&config, why);
	if (err != HF_OK) {
		config_free(&config);
		return err;
	}
	*out = config;
	return HF_OK;
}

void
config_free(struct config *config)
{
	free(config->slots);
	*config = (struct config){ 0 };
}

/* "*" is any run of characters, "?" one. */
static bool
glob(const char *pattern, struct hf_text name)
{
	const char *star = NULL;
	size_t i = 0, retry = 0;

	while (i < name.len) {
		if (*pattern == '*') {
			star = pattern++;
			retry = i;
		} else if (*pattern == '?' || *pattern == name.ptr[i]) {
			pattern++;
			i++;
		} else if (star != NULL) {
			pattern = star + 1;
			i = ++retry;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

bool
config_shows(const struct slot_config *slot, struct hf_text name)
{
	for (size_t i = 0; i < slot->pattern_count; i++)
		if (glob(slot->patterns[i], name))
			return true;
	return slot->pattern_count == 0;
}
