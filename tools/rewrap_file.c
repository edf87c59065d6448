/* SPDX-License-Identifier: Apache-2.0 */
/* holdfast rewrap-file: a file of ciphertexts, in batches, killed or not. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/buffer.h"
#include "../lib/bytes.h"
#include "../lib/fd.h"
#include "bar.h"
#include "option.h"
#include "tool.h"

enum { BATCH = 500, BATCH_LARGEST = 10000, BATCH_BYTES = 4 << 20 };

struct line {
	char *text;         /* malloc'ed, without its newline */
	size_t len, sealed; /* ... and up to a tab */
	size_t item;        /* in the request; SIZE_MAX: it stays as it is */
};

struct job {
	const char *key, *path, *out;
	size_t batch;
	bool force, quiet;
	FILE *in;
	int fd; /* the partial file */
	char partial[4096];
	uint64_t newest; /* version of the key */
	uint64_t done, rewrapped;
	uint64_t bytes; /* of the input so far */
	struct line *lines;
	size_t count;
	struct bar bar;
};

/* -- Arguments -- */

static int
take_batch(struct job *j, const char *s)
{
	char *end = NULL;
	long n = s == NULL ? 0 : strtol(s, &end, 10);

	if (n < 1 || n > BATCH_LARGEST || *end != '\0')
		return fail_usage("--batch takes 1 to %d", BATCH_LARGEST);
	j->batch = (size_t)n;
	return STATUS_OK;
}

static int
take(struct job *j, struct options *o)
{
	if (option_is(o, "out"))
		j->out = options_value(o);
	else if (option_is(o, "batch"))
		return take_batch(j, options_value(o));
	else if (option_is(o, "force"))
		j->force = true;
	else if (option_is(o, "quiet"))
		j->quiet = true;
	else if (o->name == NULL && j->key == NULL)
		j->key = o->value;
	else if (o->name == NULL && j->path == NULL)
		j->path = o->value;
	else
		return fail_usage("'%s' does not belong here; 'holdfast "
				  "rewrap-file --help' shows what does",
		    o->name == NULL ? o->value : o->name);
	return STATUS_OK;
}

static int
parse(struct job *j, int argc, char **argv)
{
	struct options o = { .argc = argc, .argv = argv };
	int status = STATUS_OK;

	while (status == STATUS_OK && options_next(&o))
		status = take(j, &o);
	if (status != STATUS_OK)
		return status;
	if (j->key == NULL || j->path == NULL || j->out == NULL)
		return fail_usage("'holdfast rewrap-file KEY FILE --out FILE'");
	if (!j->force && access(j->out, F_OK) == 0)
		return fail_usage(
		    "%s exists already; --force replaces it", j->out);
	return STATUS_OK;
}

/* -- What is done already -- */

static void
mix(uint64_t *h, const void *p, size_t len)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < len; i++)
		*h = (*h ^ b[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
}

/* Another file, or the same after a change, begins anew. */
static int
name_partial(struct job *j)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);
	struct stat st;

	if (fstat(fileno(j->in), &st) != 0)
		return fail_usage("%s: %s", j->path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return fail_usage("%s is not a file; where it was could not "
				  "be found again",
		    j->path);
	mix(&h, &st.st_dev, sizeof(st.st_dev));
	mix(&h, &st.st_ino, sizeof(st.st_ino));
	mix(&h, &st.st_size, sizeof(st.st_size));
	mix(&h, &st.st_mtim.tv_sec, sizeof(st.st_mtim.tv_sec));
	mix(&h, &st.st_mtim.tv_nsec, sizeof(st.st_mtim.tv_nsec));
	mix(&h, j->key, strlen(j->key));
	bar_start(&j->bar, "rewrapping", (uint64_t)st.st_size, j->quiet);
	return snprintf(j->partial, sizeof(j->partial), "%s.%08x.partial",
		   j->out, (unsigned)(h ^ h >> 32)) < (int)sizeof(j->partial)
	    ? STATUS_OK
	    : fail_usage("%s: the path is too long", j->out);
}

/* Counts the lines that are whole, and cuts off what is not. */
static int
count_done(struct job *j)
{
	char buf[65536];
	off_t at = 0, whole = 0;
	ssize_t n;

	while ((n = read(j->fd, buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			if (buf[i] == '\n') {
				j->done++;
				whole = at + i + 1;
			}
		at += n;
	}
	if (n < 0 || ftruncate(j->fd, whole) != 0)
		return fail_usage("%s: %s", j->partial, strerror(errno));
	return STATUS_OK;
}

static int
skip_done(struct job *j)
{
	char *line = NULL;
	size_t room = 0;
	uint64_t n = 0;
	ssize_t len;

	while (n < j->done && (len = getline(&line, &room, j->in)) > 0) {
		n++;
		j->bytes += (uint64_t)len;
	}
	free(line);
	if (n < j->done)
		return fail_usage("%s has more lines than %s; remove it to "
				  "begin anew",
		    j->partial, j->path);
	if (n > 0)
		(void)fprintf(stderr, "holdfast: going on after %llu lines\n",
		    (unsigned long long)n);
	return STATUS_OK;
}

/* The folder may be one where others make files, too: what stands in theirs
 * was not done by us. */
static bool
is_own_file(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    st.st_uid == geteuid();
}

static int
open_files(struct job *j)
{
	int status;

	j->in = fopen(j->path, "re");
	if (j->in == NULL)
		return fail_usage("%s: %s", j->path, strerror(errno));
	if ((status = name_partial(j)) != STATUS_OK)
		return status;
	j->fd = open(j->partial,
	    O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
	    0666);
	if (j->fd < 0)
		return fail_usage("%s: %s", j->partial, strerror(errno));
	if (!is_own_file(j->fd))
		return fail_usage("%s is not a file of yours", j->partial);
	if (flock(j->fd, LOCK_EX | LOCK_NB) != 0)
		return fail_usage("%s: somebody else is at it", j->partial);
	status = count_done(j);
	return status == STATUS_OK ? skip_done(j) : status;
}

/* -- A batch -- */

static void
lines_free(struct job *j)
{
	for (size_t i = 0; i < j->count; i++)
		free(j->lines[i].text);
	j->count = 0;
}

static int
read_lines(struct job *j)
{
	size_t bytes = 0, room = 0;
	char *text = NULL;
	ssize_t len;

	while (j->count < j->batch && bytes < BATCH_BYTES &&
	    (len = getline(&text, &room, j->in)) > 0) {
		const char *tab;

		j->bytes += (uint64_t)len;
		bytes += (size_t)len;
		if (text[len - 1] == '\n')
			len--;
		tab = memchr(text, '\t', (size_t)len);
		j->lines[j->count++] = (struct line){ text, (size_t)len,
			tab == NULL ? (size_t)len : (size_t)(tab - text),
			SIZE_MAX };
		text = NULL; /* the line has it now */
		room = 0;
	}
	free(text);
	return ferror(j->in) != 0
	    ? fail_usage("%s: %s", j->path, strerror(errno))
	    : STATUS_OK;
}

/* "prefix:v12:..." */
static bool
is_newest(const struct job *j, const struct line *line)
{
	char version[32];
	const char *colon = memchr(line->text, ':', line->sealed);
	int n = snprintf(
	    version, sizeof(version), ":v%llu:", (unsigned long long)j->newest);

	return colon != NULL &&
	    line->sealed - (size_t)(colon - line->text) > (size_t)n &&
	    memcmp(colon, version, (size_t)n) == 0;
}

static size_t
choose(struct job *j, struct hf_rewrap_item *items)
{
	size_t n = 0;

	for (size_t i = 0; i < j->count; i++) {
		struct line *line = &j->lines[i];

		if (line->sealed == 0 || is_newest(j, line))
			continue;
		line->item = n;
		items[n++] = (struct hf_rewrap_item){
			.ciphertext = bytes_of(line->text, line->sealed)
		};
	}
	return n;
}

static int
write_lines(struct job *j, const struct hf_rewrap_out *out)
{
	AUTO_BUFFER b = { 0 };
	enum hf_err err = HF_OK;

	for (size_t i = 0; i < j->count && err == HF_OK; i++) {
		const struct line *line = &j->lines[i];
		struct hf_bytes sealed = line->item == SIZE_MAX
		    ? bytes_of(line->text, line->sealed)
		    : out->batch_results[line->item].ciphertext;

		if ((err = buffer_add(&b, sealed)) == HF_OK &&
		    (err = buffer_add(&b,
			 bytes_of(line->text + line->sealed,
			     line->len - line->sealed))) == HF_OK)
			err = buffer_add(&b, bytes_of("\n", 1));
	}
	if (err != HF_OK)
		return fail_usage("out of memory");
	return fd_write(j->fd, buffer_view(&b), NULL) == HF_OK &&
		fdatasync(j->fd) == 0
	    ? STATUS_OK
	    : fail_usage("%s: %s", j->partial, strerror(errno));
}

static int
check_results(struct job *j, const struct hf_rewrap_out *out)
{
	for (size_t i = 0; i < j->count; i++) {
		const struct line *line = &j->lines[i];
		const struct hf_item_status *status;

		if (line->item == SIZE_MAX)
			continue;
		status = &out->batch_results[line->item].status;
		if (status->error.ptr == NULL)
			continue;
		bar_stop(&j->bar);
		(void)fprintf(stderr, "holdfast: %s:%llu: %.*s\n", j->path,
		    (unsigned long long)j->done + i + 1, (int)status->error.len,
		    status->error.ptr);
		return STATUS_REFUSED;
	}
	return STATUS_OK;
}

static int
do_batch(struct job *j, struct hf_client *client, struct hf_rewrap_item *items)
{
	struct hf_rewrap_in in = { .name = text_of(j->key),
		.format = TEXT("text"),
		.batch_input = items,
		.batch_input_count = choose(j, items) };
	struct hf_rewrap_out out = { .batch_results = NULL };
	struct hf_why why = { "" };
	enum hf_err err = HF_OK;
	int status;

	if (in.batch_input_count > 0)
		err = hf_transit_rewrap(client, &in, &out, &why);
	if (err != HF_OK)
		return fail_service(err, &why);
	if (in.batch_input_count > 0 &&
	    out.batch_results_count != in.batch_input_count)
		return fail_service(HF_ERR_BAD_REPLY, NULL);
	status = check_results(j, &out);
	if (status == STATUS_OK)
		status = write_lines(j, &out);
	if (status == STATUS_OK) {
		j->done += j->count;
		j->rewrapped += in.batch_input_count;
		bar_move(&j->bar, j->bytes);
	}
	return status;
}

/* -- All of it -- */

static int
find_newest(struct job *j, struct hf_client *client)
{
	struct hf_key_info info;
	struct hf_why why = { "" };
	enum hf_err err = hf_key_read(client,
	    &(struct hf_key_read_in){ .name = text_of(j->key) }, &info, &why);

	if (err != HF_OK)
		return fail_service(err, &why);
	j->newest = info.primary_version != 0 ? info.primary_version
					      : info.latest_version;
	return STATUS_OK;
}

static int
run_batches(struct job *j, struct hf_client *client)
{
	struct hf_rewrap_item *items = calloc(j->batch, sizeof(*items));
	int status = items == NULL ? fail_usage("out of memory") : STATUS_OK;

	while (status == STATUS_OK) {
		if ((status = read_lines(j)) != STATUS_OK || j->count == 0)
			break;
		status = do_batch(j, client, items);
		lines_free(j);
	}
	lines_free(j);
	free(items);
	bar_stop(&j->bar);
	return status;
}

static int
finish(struct job *j)
{
	if (fsync(j->fd) != 0 || rename(j->partial, j->out) != 0)
		return fail_usage("%s: %s", j->out, strerror(errno));
	(void)fprintf(stderr, "holdfast: %llu lines, %llu of them anew\n",
	    (unsigned long long)j->done, (unsigned long long)j->rewrapped);
	return STATUS_OK;
}

int
rewrap_file_run(const struct tool *tool, int argc, char **argv)
{
	struct job j = { .batch = BATCH, .fd = -1 };
	struct hf_client *client = NULL;
	int status = parse(&j, argc, argv);

	if (status == STATUS_OK) {
		j.lines = calloc(j.batch, sizeof(*j.lines));
		status = j.lines == NULL ? fail_usage("out of memory")
					 : open_files(&j);
	}
	if (status == STATUS_OK)
		status = tool_connect(tool, &client);
	if (status == STATUS_OK)
		status = find_newest(&j, client);
	if (status == STATUS_OK)
		status = run_batches(&j, client);
	if (status == STATUS_OK)
		status = finish(&j);
	if (client != NULL)
		hf_close(client);
	if (j.in != NULL)
		(void)fclose(j.in);
	fd_close(j.fd);
	free(j.lines);
	return status;
}
