/* SPDX-License-Identifier: Apache-2.0 */
#include <holdfast/err.h>

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct err_row {
	enum hf_err err;
	unsigned status;
	unsigned long ckr;
	const char *name;
	const char *sentence;
};

static const struct err_row rows[] = {
	{ HF_OK, 200, 0, "ok", "ok" },
#define HF_ERR(symbol, number, status, ckr, name, sentence) \
	{ HF_ERR_##symbol, status, ckr, name, sentence },
#include <holdfast/err.def>
#undef HF_ERR
};

static const struct err_row unknown = { HF_ERR_REMOTE, 500, 0x00000006,
	"unknown", "an error that this version does not know" };

static const struct err_row *
row_of(enum hf_err err)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].err == err)
			return &rows[i];
	return &unknown;
}

const char *
hf_err_name(enum hf_err err)
{
	return row_of(err)->name;
}

const char *
hf_err_sentence(enum hf_err err)
{
	return row_of(err)->sentence;
}

unsigned
hf_err_status(enum hf_err err)
{
	return row_of(err)->status;
}

unsigned long
hf_err_ckr(enum hf_err err)
{
	return row_of(err)->ckr;
}

enum hf_err
hf_err_by_name(const char *name, unsigned long len)
{
	for (size_t i = 1; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strlen(rows[i].name) == len &&
		    strncmp(rows[i].name, name, len) == 0)
			return rows[i].err;
	return HF_ERR_REMOTE;
}

/* Takes away the beginning of a character that was cut off at the end. */
static void
trim_character(char *text)
{
	size_t len = strlen(text);
	size_t tail = 0;
	unsigned char lead;

	while (tail < 3 && tail < len &&
	    ((unsigned char)text[len - 1 - tail] & 0xc0) == 0x80)
		tail++;
	if (tail == len)
		return;
	lead = (unsigned char)text[len - 1 - tail];
	if ((lead >= 0xc0 && tail < 1) || (lead >= 0xe0 && tail < 2) ||
	    (lead >= 0xf0 && tail < 3))
		text[len - 1 - tail] = '\0';
}

enum hf_err
hf_fail(struct hf_why *why, enum hf_err err, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (why == NULL)
		return err;
	va_start(ap, fmt);
	n = vsnprintf(why->text, sizeof(why->text), fmt, ap);
	va_end(ap);
	if (n >= (int)sizeof(why->text))
		trim_character(why->text);
	return err;
}
