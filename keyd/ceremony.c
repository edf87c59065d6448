/* SPDX-License-Identifier: Apache-2.0 */
#include "ceremony.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "../lib/bytes.h"
#include "../lib/fd.h"
#include "crypto.h"
#include "folder.h"

enum {
	PEM_BYTES = 8192,
	GROUP = 4,    /* characters together, for who writes them down */
	GROUPS = 10,  /* in a line */
	SHOWN = 1024, /* a share for people */
	BLOCK_MAX = 512,
};

/* Wipes screen and what can be scrolled back to. */
static const char clear_screen[] = "\033[3J\033[2J\033[H";

static enum hf_err
cannot(struct hf_why *why, const char *path)
{
	return hf_fail(why, HF_ERR_SYSTEM, "%s: %s", path, strerror(errno));
}

/* -- Terminal and files -- */

/* The one of who started it: what is secret does not go to a pipe, and the
 * standard input may be where the PIN comes from. */
static int
terminal_open(void)
{
	return open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
}

/* Up to `cap` bytes; more is an error. */
static enum hf_err
read_file(
    const char *path, uint8_t *out, size_t cap, size_t *len, struct hf_why *why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	enum hf_err err = HF_OK;

	if (fd < 0)
		return cannot(why, path);
	if (fd_read(fd, out, cap, len, NULL) != HF_OK)
		err = cannot(why, path);
	(void)close(fd);
	return err == HF_OK && *len == cap
	    ? hf_fail(why, HF_ERR_TOO_LARGE,
		  "%s is too long for what it should be", path)
	    : err;
}

/* For its owner alone, never in place of another file, and on the disk. */
static enum hf_err
write_new(const char *path, struct hf_bytes data, struct hf_why *why)
{
	int fd = open(
	    path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	enum hf_err err = HF_OK;

	if (fd < 0)
		return cannot(why, path);
	if (fd_write(fd, data, NULL) != HF_OK || fsync(fd) != 0)
		err = cannot(why, path);
	if (close(fd) != 0 && err == HF_OK)
		err = cannot(why, path);
	if (err != HF_OK)
		(void)unlink(path);
	return err;
}

/* -- Holders' keys -- */

static enum hf_err
holder_key(const char *path, struct crypto_key **out, struct hf_why *why)
{
	static const enum key_type_id types[] = { KEY_RSA_4096, KEY_RSA_3072,
		KEY_RSA_2048 };
	uint8_t pem[PEM_BYTES], spki[SPKI_MAX];
	size_t len = 0, spki_len = 0;
	enum hf_err err = read_file(path, pem, sizeof(pem), &len, why);

	if (err != HF_OK)
		return err;
	err = crypto_pem_spki((struct hf_text){ (const char *)pem, len }, spki,
	    sizeof(spki), &spki_len);
	for (size_t i = 0; err == HF_OK && i < sizeof(types) / sizeof(types[0]);
	     i++) {
		err = crypto_key_public(
		    key_type_by_id(types[i]), bytes_of(spki, spki_len), out);
		if (err == HF_OK)
			return HF_OK;
		if (err == HF_ERR_KEY_TYPE)
			err = HF_OK; /* it may be the next */
	}
	return hf_fail(why, HF_ERR_BAD_VALUE,
	    "%s: not an RSA public key of 2048, 3072 or 4096 bits in PEM",
	    path);
}

/* -- The plan -- */

static bool
has_terminal(void)
{
	int tty = terminal_open();

	fd_close(tty);
	return tty >= 0;
}

enum hf_err
ceremony_check(const struct ceremony_plan *plan, struct hf_why *why)
{
	if (plan->threshold < 2 || plan->threshold > plan->count ||
	    plan->count > SHARE_COUNT_MAX)
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "--shares and --threshold: at least 2, at most %d, and "
		    "not more needed than there are",
		    SHARE_COUNT_MAX);
	if (plan->to_count > 0 &&
	    (plan->to_count != plan->count || plan->dir == NULL))
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "--share-to is given once for each share, and --share-dir "
		    "with it");
	if (plan->dir == NULL && !has_terminal())
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "shares are shown on a terminal, or written with "
		    "--share-dir; here is neither");
	if (plan->dir != NULL && access(plan->dir, W_OK | X_OK) != 0)
		return cannot(why, plan->dir);
	for (unsigned i = 0; i < plan->to_count; i++) {
		struct crypto_key *key;
		enum hf_err err = holder_key(plan->to[i], &key, why);

		if (err != HF_OK)
			return err;
		crypto_key_free(key);
	}
	return HF_OK;
}

/* -- Handing out -- */

struct handing {
	const struct ceremony_plan *plan;
	const struct share *shares;
};

/* A share as people read it: in groups, with a word about what it is. */
static enum hf_err
share_show(const struct share *s, struct secret *out, size_t *len)
{
	char set[2 * sizeof(s->facts.set) + 1], *p;
	AUTO_SECRET text = { 0 };
	AUTO_SECRET page = { 0 };
	enum hf_err err;
	int n;

	if ((err = share_encode(s, &text)) != HF_OK ||
	    (err = secret_alloc(&page, SHOWN)) != HF_OK)
		return err;
	hex_encode(s->facts.set, sizeof(s->facts.set), set);
	p = (char *)page.ptr;
	n = snprintf(p, SHOWN,
	    "Holdfast: share %u of %u, set %s. Any %u of them restore the "
	    "master key.\nKeep it secret, and away from the others.\n\nHFS1",
	    s->number, s->facts.count, set, s->facts.threshold);
	p += n;
	for (size_t i = 0; text.ptr[5 + i] != '\0'; i++) {
		if (i % GROUP == 0)
			*p++ = i % (GROUP * GROUPS) == 0 ? '\n' : ' ';
		*p++ = (char)text.ptr[5 + i];
	}
	*p++ = '\n';
	*len = (size_t)(p - (char *)page.ptr);
	secret_move(out, &page);
	return HF_OK;
}

static enum hf_err
hand_encrypted(const struct share *s, const char *holder, const char *path,
    struct hf_why *why)
{
	struct crypto_key *key;
	uint8_t block[BLOCK_MAX];
	AUTO_SECRET text = { 0 };
	size_t len;
	enum hf_err err;

	if ((err = holder_key(holder, &key, why)) != HF_OK)
		return err;
	if ((err = share_encode(s, &text)) == HF_OK)
		err = crypto_oaep_encrypt(key,
		    bytes_of(text.ptr, strlen((const char *)text.ptr)), block,
		    &len);
	crypto_key_free(key);
	return err == HF_OK ? write_new(path, bytes_of(block, len), why) : err;
}

static enum hf_err
hand_file(const struct share *s, const char *path, struct hf_why *why)
{
	AUTO_SECRET page = { 0 };
	size_t len;
	enum hf_err err = share_show(s, &page, &len);

	return err == HF_OK ? write_new(path, bytes_of(page.ptr, len), why)
			    : err;
}

static bool
share_path(const struct ceremony_plan *plan, unsigned number, char *out)
{
	int n = snprintf(out, PATH_MAX, "%s/share-%u.%s", plan->dir, number,
	    plan->to_count > 0 ? "enc" : "txt");

	return n > 0 && n < PATH_MAX;
}

/* All of them, or none is left behind. */
static enum hf_err
hand_files(const struct handing *h, struct hf_why *why)
{
	const struct ceremony_plan *plan = h->plan;
	char path[PATH_MAX];
	unsigned done = 0;
	enum hf_err err = HF_OK;

	for (; err == HF_OK && done < plan->count; done++) {
		if (!share_path(plan, done + 1, path))
			err = HF_ERR_OUT_OF_BOUNDS;
		else if (plan->to_count > 0)
			err = hand_encrypted(
			    &h->shares[done], plan->to[done], path, why);
		else
			err = hand_file(&h->shares[done], path, why);
		if (err != HF_OK)
			break;
		(void)printf("Share %u: %s\n", done + 1, path);
	}
	if (err == HF_OK)
		return folder_sync(plan->dir) ? HF_OK : cannot(why, plan->dir);
	while (done > 0)
		if (share_path(plan, done--, path))
			(void)unlink(path);
	return err;
}

/* False: the terminal is gone. */
static bool
wait_for_enter(int tty)
{
	char c = '\0';
	ssize_t n = 1;

	while (c != '\n' && n == 1)
		n = read(tty, &c, 1);
	return n == 1;
}

static enum hf_err
hand_shown(const struct share *s, int tty, struct hf_why *why)
{
	AUTO_SECRET page = { 0 };
	size_t len;
	bool ok;
	enum hf_err err = share_show(s, &page, &len);

	if (err != HF_OK)
		return err;
	(void)dprintf(tty,
	    "Share %u of %u. Only its holder looks at the screen. Enter shows "
	    "it.",
	    s->number, s->facts.count);
	/* Not through stdio, which would keep it in a buffer. */
	ok = wait_for_enter(tty) &&
	    fd_write(tty, bytes_of(page.ptr, len), NULL) == HF_OK &&
	    dprintf(tty,
		"\nWhen it is written down, Enter clears the screen.") > 0 &&
	    wait_for_enter(tty);
	ok = fd_write(tty, bytes_of(clear_screen, sizeof(clear_screen) - 1),
		 NULL) == HF_OK &&
	    ok;
	return ok ? HF_OK
		  : hf_fail(why, HF_ERR_SYSTEM, "the terminal went away");
}

static enum hf_err
hand_all_shown(const struct handing *h, struct hf_why *why)
{
	int tty = terminal_open();
	enum hf_err err = HF_OK;

	if (tty < 0)
		return cannot(why, "/dev/tty");
	for (unsigned i = 0; err == HF_OK && i < h->plan->count; i++)
		err = hand_shown(&h->shares[i], tty, why);
	(void)close(tty);
	return err;
}

static enum hf_err
hand_out(void *ctx, struct hf_why *why)
{
	const struct handing *h = ctx;

	return h->plan->dir != NULL ? hand_files(h, why)
				    : hand_all_shown(h, why);
}

enum hf_err
ceremony_init(
    struct hierarchy *h, const struct ceremony_plan *plan, struct hf_why *why)
{
	struct handing handing = { .plan = plan };
	AUTO_SECRET keys = { 0 };
	AUTO_SECRET shares = { 0 };
	enum hf_err err;

	if ((err = secret_alloc(&keys, SHARE_KEYS)) != HF_OK ||
	    (err = crypto_random(keys.ptr, keys.len)) != HF_OK ||
	    (err = shares_make(secret_view(&keys), plan->threshold, plan->count,
		 &shares, why)) != HF_OK)
		return err;
	handing.shares = (const void *)shares.ptr;
	return hierarchy_init_shared(h, secret_view(&keys),
	    &handing.shares[0].facts, hand_out, &handing, why);
}

/* -- Collecting -- */

static enum hf_err
read_share(const char *path, struct share *out, struct hf_why *why)
{
	struct hf_why reason = { "" };
	AUTO_SECRET text = { 0 };
	size_t len;
	enum hf_err err;

	if ((err = secret_alloc(&text, SHARE_FILE_MAX)) != HF_OK ||
	    (err = read_file(path, text.ptr, text.len, &len, why)) != HF_OK)
		return err;
	err = share_decode(bytes_of(text.ptr, len), out, &reason);
	return err == HF_OK ? HF_OK
			    : hf_fail(why, err, "%s: %s", path, reason.text);
}

/* Characters of it that count, HFS1 and all. */
static size_t
typed_count(const uint8_t *text, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += text[i] != ' ' && text[i] != '-' && text[i] != '\n' &&
		    text[i] != '\r' && text[i] != '\t';
	return n;
}

/* Lines until there is a share's worth of characters, or an empty one. */
static size_t
type_lines(int tty, uint8_t *out, size_t cap)
{
	enum { WHOLE = 4 + 148 };
	size_t len = 0, start = 0;

	while (len < cap && read(tty, out + len, 1) == 1) {
		if (out[len++] != '\n')
			continue;
		if (len - start == 1 || typed_count(out, len) >= WHOLE)
			break;
		start = len;
	}
	return len;
}

static enum hf_err
type_share(int tty, struct share *out, struct hf_why *why)
{
	AUTO_SECRET text = { 0 };
	size_t len;
	enum hf_err err = secret_alloc(&text, SHARE_FILE_MAX);

	if (err != HF_OK)
		return err;
	len = type_lines(tty, text.ptr, text.len);
	(void)dprintf(tty, "\n");
	if (typed_count(text.ptr, len) == 0)
		return hf_fail(why, HF_ERR_MISSING_FIELD,
		    "no share was typed; nothing is done");
	return share_decode(bytes_of(text.ptr, len), out, why);
}

/* As many as the first one says; a typo can be mended at once. */
static enum hf_err
type_all(int tty, struct share *shares, size_t *count, struct hf_why *why)
{
	unsigned needed = 0;

	*count = 0;
	while (*count == 0 || *count < needed) {
		struct hf_why reason = { "" };
		enum hf_err err;

		if (needed == 0)
			(void)dprintf(tty,
			    "Share 1, in several lines if need be; it is not "
			    "shown: ");
		else
			(void)dprintf(
			    tty, "Share %zu of %u: ", *count + 1, needed);
		err = type_share(tty, &shares[*count], &reason);
		if (err == HF_ERR_BAD_VALUE) {
			(void)dprintf(tty, "Once more: %s.\n", reason.text);
			continue;
		}
		if (err != HF_OK) {
			*why = reason;
			return err;
		}
		needed = shares[0].facts.threshold;
		(*count)++;
	}
	return HF_OK;
}

/* What would leave the terminal silent waits until it is not. */
static void
signals_hold(sigset_t *before)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGQUIT);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGTSTP);
	(void)sigaddset(&set, SIGHUP);
	(void)pthread_sigmask(SIG_BLOCK, &set, before);
}

/* Typed without being shown; the terminal is as before, whatever happens. */
static enum hf_err
type_shares(struct share *shares, size_t *count, struct hf_why *why)
{
	int tty = terminal_open();
	struct termios before, quiet;
	sigset_t signals;
	enum hf_err err;

	if (tty < 0 || tcgetattr(tty, &before) != 0) {
		fd_close(tty);
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "give the files of the shares, or type them at a terminal");
	}
	quiet = before;
	quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
	signals_hold(&signals);
	if (tcsetattr(tty, TCSAFLUSH, &quiet) != 0)
		err = cannot(why, "/dev/tty");
	else
		err = type_all(tty, shares, count, why);
	(void)tcsetattr(tty, TCSAFLUSH, &before);
	(void)close(tty);
	(void)pthread_sigmask(SIG_SETMASK, &signals, NULL);
	return err;
}

enum hf_err
ceremony_collect(const char *const *files, size_t count, struct secret *keys,
    struct share_facts *facts, struct hf_why *why)
{
	AUTO_SECRET room = { 0 };
	struct share *shares;
	enum hf_err err;

	if (count > SHARE_COUNT_MAX)
		return hf_fail(why, HF_ERR_BAD_VALUE, "more than %d shares",
		    SHARE_COUNT_MAX);
	if ((err = secret_alloc(&room, SHARE_COUNT_MAX * sizeof(*shares))) !=
	    HF_OK)
		return err;
	shares = (void *)room.ptr;
	for (size_t i = 0; err == HF_OK && i < count; i++)
		err = read_share(files[i], &shares[i], why);
	if (err == HF_OK && count == 0)
		err = type_shares(shares, &count, why);
	if (err == HF_OK)
		err = shares_combine(shares, count, keys, why);
	if (err == HF_OK)
		*facts = shares[0].facts;
	return err;
}
