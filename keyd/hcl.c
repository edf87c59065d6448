/* SPDX-License-Identifier: Apache-2.0 */
#include "hcl.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/bytes.h"
#include "../lib/fd.h"
#include "hcl_parse.h"

enum { CHUNK = 256 };

struct chunk {
	struct chunk *next;
	size_t used;
	struct hcl_node nodes[CHUNK];
};

struct hcl_file {
	char *name;
	enum hf_err refused;
	struct hcl_node *root;
	struct chunk *chunks;
	size_t nodes;
	/*
	 * All texts, one after the other. Every token is at least a byte and
	 * gives at most its own length and a NUL: twice the source is enough.
	 */
	char *texts;
	size_t texts_size, texts_used, text_start;
};

static enum hf_err refuse_at(const struct hcl_file *file, unsigned line,
    struct hf_why *why, const char *fmt, va_list ap)
    __attribute__((format(printf, 4, 0)));

static enum hf_err
refuse_at(const struct hcl_file *file, unsigned line, struct hf_why *why,
    const char *fmt, va_list ap)
{
	char what[200];

	(void)vsnprintf(what, sizeof(what), fmt, ap);
	return hf_fail(why, file->refused, "%s:%u: %s", file->name, line, what);
}

enum hf_err
hcl_refuse(const struct hcl_parser *p, const char *fmt, ...)
{
	enum hf_err err;
	va_list ap;

	va_start(ap, fmt);
	err = refuse_at(p->file, p->line, p->why, fmt, ap);
	va_end(ap);
	return err;
}

enum hf_err
hcl_fail(const struct hcl_file *file, const struct hcl_node *node,
    struct hf_why *why, const char *fmt, ...)
{
	enum hf_err err;
	va_list ap;

	va_start(ap, fmt);
	err = refuse_at(file, node->line, why, fmt, ap);
	va_end(ap);
	return err;
}

enum hf_err
hcl_node_new(struct hcl_parser *p, enum hcl_kind kind, struct hcl_node **out)
{
	struct hcl_file *file = p->file;
	struct chunk *chunk = file->chunks;

	if (file->nodes == HCL_NODES_MAX)
		return hcl_refuse(
		    p, "more than %d values in one file", HCL_NODES_MAX);
	if (chunk == NULL || chunk->used == CHUNK) {
		chunk = calloc(1, sizeof(*chunk));
		if (chunk == NULL)
			return HF_ERR_NO_MEMORY;
		chunk->next = file->chunks;
		file->chunks = chunk;
	}
	file->nodes++;
	*out = &chunk->nodes[chunk->used++];
	(*out)->kind = kind;
	(*out)->line = p->line;
	return HF_OK;
}

static bool
is_plain(const struct hcl_node *node)
{
	return node->kind != HCL_OBJECT;
}

/* A list of nothing but objects is how JSON writes a block that repeats. */
static bool
is_block_list(const struct hcl_node *node)
{
	if (node->kind != HCL_LIST || node->count == 0)
		return false;
	for (const struct hcl_node *n = node->first; n != NULL; n = n->next)
		if (n->kind != HCL_OBJECT)
			return false;
	return true;
}

static void
append(struct hcl_node *parent, struct hcl_node *child)
{
	child->next = NULL;
	if (parent->last == NULL)
		parent->first = child;
	else
		parent->last->next = child;
	parent->last = child;
	parent->count++;
}

enum hf_err
hcl_node_add(
    const struct hcl_parser *p, struct hcl_node *parent, struct hcl_node *child)
{
	if (parent->count == HCL_MEMBERS_MAX)
		return hcl_refuse(p,
		    "more than %d members in one list or "
		    "block",
		    HCL_MEMBERS_MAX);
	for (struct hcl_node *n = parent->first;
	     parent->kind == HCL_OBJECT && n != NULL; n = n->next)
		if (text_equal(n->key, child->key) &&
		    (is_plain(n) || is_plain(child)))
			return hcl_refuse(p,
			    "\"%.60s\" is given twice, first "
			    "on line %u",
			    child->key.ptr, n->line);
	append(parent, child);
	return HF_OK;
}

enum hf_err
hcl_enter(struct hcl_parser *p)
{
	if (p->depth == HCL_DEPTH_MAX)
		return hcl_refuse(
		    p, "nested deeper than %d levels", HCL_DEPTH_MAX);
	p->depth++;
	return HF_OK;
}

void
hcl_leave(struct hcl_parser *p)
{
	p->depth--;
}

void
hcl_text_begin(struct hcl_parser *p)
{
	p->file->text_start = p->file->texts_used;
}

void
hcl_text_put(struct hcl_parser *p, const char *bytes, size_t len)
{
	struct hcl_file *file = p->file;

	assert(len < file->texts_size - file->texts_used);
	if (len > 0)
		memcpy(file->texts + file->texts_used, bytes, len);
	file->texts_used += len;
}

struct hf_text
hcl_text_end(struct hcl_parser *p)
{
	struct hcl_file *file = p->file;
	struct hf_text text = { file->texts + file->text_start,
		file->texts_used - file->text_start };

	file->texts[file->texts_used++] = '\0';
	return text;
}

enum hf_err
hcl_text_put_rune(struct hcl_parser *p, uint32_t rune)
{
	static const uint8_t lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
	unsigned len =
	    1u + (rune >= 0x80) + (rune >= 0x800) + (rune >= 0x10000);
	char out[4];

	if (rune == 0)
		return hcl_refuse(p, "a string may not contain NUL");
	if (rune > 0x10ffff || (rune >= 0xd800 && rune <= 0xdfff))
		return hcl_refuse(p, "U+%04X is not a character", rune);
	for (unsigned i = len - 1; i > 0; i--) {
		out[i] = (char)(0x80 | (rune & 0x3f));
		rune >>= 6;
	}
	out[0] = (char)(lead[len] | rune);
	hcl_text_put(p, out, len);
	return HF_OK;
}

enum hf_err
hcl_hex(struct hcl_parser *p, unsigned digits, uint32_t *out)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < digits; i++, p->at++) {
		char c = p->at < p->end ? *p->at : '\0';
		char low = (char)(c | 0x20);

		if (hcl_digit(c))
			v = v << 4 | (uint32_t)(c - '0');
		else if (low >= 'a' && low <= 'f')
			v = v << 4 | (uint32_t)(low - 'a' + 10);
		else
			return hcl_refuse(p,
			    "%u hexadecimal digits expected "
			    "in this escape",
			    digits);
	}
	*out = v;
	return HF_OK;
}

enum hf_err
hcl_number(struct hcl_parser *p, struct hcl_node *node, struct hf_text spelling,
    int base)
{
	bool fraction = false;
	char *rest;
	long long v;

	hcl_text_begin(p);
	hcl_text_put(p, spelling.ptr, spelling.len);
	node->text = hcl_text_end(p);
	errno = 0;
	v = strtoll(node->text.ptr, &rest, base);
	if (*rest == '.' || *rest == 'e' || *rest == 'E') {
		(void)strtod(node->text.ptr, &rest); /* a fraction */
		fraction = true;
	}
	if (*rest != '\0')
		return hcl_refuse(
		    p, "\"%.40s\" is not a number", node->text.ptr);
	if (fraction)
		return HF_OK;
	if (errno == ERANGE)
		return hcl_refuse(
		    p, "the number %.40s is too large", node->text.ptr);
	node->integer = true;
	node->number = v;
	return HF_OK;
}

const char *
hcl_next_words(const struct hcl_parser *p, char buf[24])
{
	if (p->at == p->end)
		return "the end of the file";
	if (*p->at == '\n' || *p->at == '\r')
		return "the end of the line";
	if (*p->at <= ' ' || *p->at > '~')
		(void)snprintf(buf, 24, "the byte 0x%02x",
		    (unsigned)(unsigned char)*p->at);
	else
		(void)snprintf(buf, 24, "'%c'", *p->at);
	return buf;
}

/*
 * Puts the members of `from` in the place of a list of objects: each object
 * of the list becomes a member under the list's key.
 */
static void
splice_block_lists(struct hcl_node *object)
{
	struct hcl_node *n = object->first, *next;

	object->first = object->last = NULL;
	object->count = 0;
	for (; n != NULL; n = next) {
		next = n->next;
		if (!is_block_list(n)) {
			append(object, n);
			continue;
		}
		for (struct hcl_node *m = n->first, *m_next; m != NULL;
		     m = m_next) {
			m_next = m->next;
			m->key = n->key;
			append(object, m);
		}
	}
}

/* Whether all members are blocks, so that their names may be labels. */
static bool
holds_only_blocks(const struct hcl_node *object)
{
	if (object->kind != HCL_OBJECT || object->count == 0)
		return false;
	for (const struct hcl_node *n = object->first; n != NULL; n = n->next)
		if (n->kind != HCL_OBJECT && !is_block_list(n))
			return false;
	return true;
}

static struct hcl_node *
find_labelled(struct hcl_node *object, struct hf_text key)
{
	for (struct hcl_node *n = object->first; n != NULL; n = n->next)
		if (n->labelled && text_equal(n->key, key))
			return n;
	return NULL;
}

/*
 * Brings the three ways of writing blocks at the top into one form: lists of
 * blocks become repeated blocks, and objects that hold only blocks, whether
 * written as labels or not, become one object a name.
 */
static void
merge_blocks(struct hcl_node *root)
{
	struct hcl_node *n, *next, *into, *m, *m_next;

	splice_block_lists(root);
	n = root->first;
	root->first = root->last = NULL;
	root->count = 0;
	for (; n != NULL; n = next) {
		next = n->next;
		n->labelled = holds_only_blocks(n);
		into = n->labelled ? find_labelled(root, n->key) : NULL;
		if (into == NULL) {
			if (n->labelled)
				splice_block_lists(n);
			append(root, n);
			continue;
		}
		splice_block_lists(n);
		for (m = n->first; m != NULL; m = m_next) {
			m_next = m->next;
			append(into, m);
		}
	}
}

static enum hf_err
parse_whole(struct hcl_parser *p)
{
	enum hf_err err;
	const char *first = p->at;

	if (memchr(p->at, '\0', (size_t)(p->end - p->at)) != NULL)
		return hcl_refuse(p, "the file contains NUL; it is not text");
	if (!utf8_valid((struct hf_text){ p->at, (size_t)(p->end - p->at) }))
		return hcl_refuse(p, "the file is not valid UTF-8");
	if ((err = hcl_node_new(p, HCL_OBJECT, &p->file->root)) != HF_OK)
		return err;
	while (first < p->end && memchr(" \t\r\n", *first, 4) != NULL)
		first++;
	err = first < p->end && *first == '{'
	    ? hcl_parse_json(p, p->file->root)
	    : hcl_parse_native(p, p->file->root);
	if (err != HF_OK)
		return err;
	merge_blocks(p->file->root);
	return HF_OK;
}

enum hf_err
hcl_parse(const char *name, struct hf_text source, enum hf_err refused,
    struct hcl_file **out, struct hf_why *why)
{
	struct hcl_file *file = calloc(1, sizeof(*file));
	struct hcl_parser p = { .file = file, .line = 1, .why = why };
	enum hf_err err;

	if (file == NULL)
		return HF_ERR_NO_MEMORY;
	file->refused = refused;
	file->name = strdup(name);
	file->texts_size = 2 * source.len + 16;
	file->texts = malloc(file->texts_size);
	if (file->name == NULL || file->texts == NULL) {
		hcl_free(file);
		return HF_ERR_NO_MEMORY;
	}
	p.at = source.ptr == NULL ? "" : source.ptr;
	p.end = p.at + source.len;
	if (source.len > HCL_FILE_MAX)
		err = hcl_refuse(
		    &p, "the file is larger than %d bytes", HCL_FILE_MAX);
	else
		err = parse_whole(&p);
	if (err != HF_OK) {
		hcl_free(file);
		return err;
	}
	*out = file;
	return HF_OK;
}

enum hf_err
hcl_load(const char *path, enum hf_err refused, struct hcl_file **out,
    struct hf_why *why)
{
	/* O_NONBLOCK: a FIFO in the folder must not stop the daemon. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	enum hf_err err;
	size_t len;
	char *buf;

	if (fd < 0)
		return hf_fail(why, refused, "%s: cannot be opened: %s", path,
		    strerror(errno));
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		(void)close(fd);
		return hf_fail(why, refused, "%s: is not a regular file", path);
	}
	if (st.st_mode & S_IWOTH) {
		(void)close(fd);
		return hf_fail(why, refused,
		    "%s: anybody may write this file; "
		    "take that away with chmod o-w",
		    path);
	}
	buf = malloc(HCL_FILE_MAX + 1);
	if (buf == NULL) {
		(void)close(fd);
		return HF_ERR_NO_MEMORY;
	}
	/* At most one byte more than is allowed, so that too much shows. */
	if (fd_read(fd, buf, HCL_FILE_MAX + 1, &len, NULL) != HF_OK)
		err = hf_fail(why, refused, "%s: cannot be read: %s", path,
		    strerror(errno));
	else
		err = hcl_parse(
		    path, (struct hf_text){ buf, len }, refused, out, why);
	free(buf);
	(void)close(fd);
	return err;
}

void
hcl_free(struct hcl_file *file)
{
	struct chunk *next;

	if (file == NULL)
		return;
	for (struct chunk *c = file->chunks; c != NULL; c = next) {
		next = c->next;
		free(c);
	}
	free(file->texts);
	free(file->name);
	free(file);
}

const struct hcl_node *
hcl_root(const struct hcl_file *file)
{
	return file->root;
}

const char *
hcl_name(const struct hcl_file *file)
{
	return file->name;
}

const char *
hcl_kind_name(enum hcl_kind kind)
{
	static const char *const names[] = {
		[HCL_STRING] = "string",
		[HCL_NUMBER] = "number",
		[HCL_BOOL] = "true or false",
		[HCL_LIST] = "list",
		[HCL_OBJECT] = "block",
	};

	return names[kind];
}

const struct hcl_node *
hcl_get(const struct hcl_node *object, const char *key)
{
	for (const struct hcl_node *n = object->first; n != NULL; n = n->next)
		if (text_is(n->key, key))
			return n;
	return NULL;
}
