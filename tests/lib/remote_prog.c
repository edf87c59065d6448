/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Uses the library over whatever is between it and a service:
 *	remote_prog ADDRESS MODE
 *	  ask      encrypts and decrypts; prints what came back
 *	  large    a request that does not get through in a second; then others
 *	  small    requests without a reply until no more get through; then
 *their replies, each compared with what was sent fork     a child that asks,
 *one that only closes, and the parent again pipeline many requests under way at
 *once Status 0: as expected.
 */
#include <holdfast/holdfast.h>

#include <err.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SMALL = 10000, MANY = 4000, LARGE = 12 << 20, PIPELINE = 40 };

static struct hf_why why;

static void
must(enum hf_err err, const char *what)
{
	if (err != HF_OK)
		errx(1, "%s: %s: %s", what, hf_err_name(err), why.text);
}

static struct hf_encrypt_in
request(const void *data, size_t len)
{
	return (struct hf_encrypt_in){ .name = hf_text_of("payments"),
		.item.plaintext = hf_bytes_of(data, len) };
}

/* There and back. */
static void
ask(struct hf_client *c)
{
	static const char text[] = "asked over the net";
	struct hf_encrypt_in in = request(text, sizeof(text) - 1);
	struct hf_decrypt_in back = { .name = in.name };
	struct hf_encrypt_out sealed;
	struct hf_decrypt_out opened;

	must(hf_transit_encrypt(c, &in, &sealed, &why), "encrypt");
	back.item.ciphertext = sealed.result.ciphertext;
	must(hf_transit_decrypt(c, &back, &opened, &why), "decrypt");
	if (opened.result.plaintext.len != sizeof(text) - 1 ||
	    memcmp(opened.result.plaintext.ptr, text, sizeof(text) - 1) != 0)
		errx(1, "another text came back");
}

static void
check(struct hf_client *c, struct hf_bytes ciphertext, const uint8_t *expected)
{
	struct hf_decrypt_in in = { .name = hf_text_of("payments"),
		.item.ciphertext = ciphertext };
	struct hf_decrypt_out out;

	must(hf_transit_decrypt(c, &in, &out, &why), "decrypt");
	if (out.result.plaintext.len != SMALL ||
	    memcmp(out.result.plaintext.ptr, expected, SMALL) != 0)
		errx(1, "a reply to another request");
}

static void
run_large(struct hf_client *c)
{
	static const uint8_t data[LARGE];
	struct hf_encrypt_in in = request(data, LARGE);
	struct hf_encrypt_out out;
	enum hf_err err;

	hf_set_timeout(c, 1000);
	err = hf_transit_encrypt(c, &in, &out, &why);
	if (err != HF_ERR_TIMEOUT)
		errx(1, "%s instead of a timeout", hf_err_name(err));
	hf_set_timeout(c, 10000);
	ask(c);
}

/* Each request has data of its own: a number, again and again. */
static void
fill(uint8_t data[SMALL], unsigned n)
{
	for (size_t i = 0; i < SMALL; i++)
		data[i] = (uint8_t)(n >> (8 * (i % 2)));
}

/* Sends until it is full or enough; the number that was sent. */
static unsigned
send_some(struct hf_client *c, uint32_t *tickets, unsigned most)
{
	static uint8_t data[SMALL];
	unsigned n = 0;

	for (; n < most; n++) {
		struct hf_encrypt_in in = request(data, SMALL);
		enum hf_err err;

		fill(data, n);
		err = hf_transit_encrypt_send(c, &in, &tickets[n], &why);
		if (err == HF_ERR_TIMEOUT)
			break;
		must(err, "send");
	}
	return n;
}

static void
receive_all(
    struct hf_client *c, struct hf_client *other, uint32_t *tickets, unsigned n)
{
	static uint8_t data[SMALL];

	for (unsigned i = 0; i < n; i++) {
		struct hf_encrypt_out out;
		enum hf_err err =
		    hf_transit_encrypt_receive(c, tickets[i], &out, &why);

		/* Twice lost, or too late: told, and never another's reply. */
		if (err == HF_ERR_TIMEOUT || err == HF_ERR_DISCONNECTED)
			continue;
		must(err, "receive");
		fill(data, i);
		check(other, out.result.ciphertext, data);
	}
}

static void
run_small(struct hf_client *c, const char *address)
{
	static uint32_t tickets[MANY];
	struct hf_client *other = NULL;
	unsigned n;

	hf_set_timeout(c, 1500);
	n = send_some(c, tickets, MANY);
	if (n == MANY)
		errx(1, "everything got through");
	hf_set_timeout(c, 10000);
	ask(c);
	must(hf_connect(address, 10000, &other, &why), "connect");
	receive_all(c, other, tickets, n);
	ask(c);
	hf_close(other);
}

static void
run_pipeline(struct hf_client *c, const char *address)
{
	static uint32_t tickets[PIPELINE];
	struct hf_client *other = NULL;
	unsigned n = send_some(c, tickets, PIPELINE);

	if (n != PIPELINE)
		errx(1, "only %u requests got through", n);
	must(hf_connect(address, 10000, &other, &why), "connect");
	receive_all(c, other, tickets, n);
	hf_close(other);
}

static void
run_child(struct hf_client *c, bool asks)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		err(1, "fork");
	if (pid == 0) {
		if (asks)
			ask(c);
		hf_close(c);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) < 0 || status != 0)
		errx(1, "a child ended with 0x%x", (unsigned)status);
	ask(c);
}

int
main(int argc, char **argv)
{
	struct hf_client *c = NULL;

	if (argc != 3)
		errx(1, "usage: remote_prog ADDRESS MODE");
	must(hf_connect(argv[1], 10000, &c, &why), "connect");
	if (strcmp(argv[2], "ask") == 0) {
		ask(c);
	} else if (strcmp(argv[2], "large") == 0) {
		run_large(c);
	} else if (strcmp(argv[2], "small") == 0) {
		run_small(c, argv[1]);
	} else if (strcmp(argv[2], "pipeline") == 0) {
		run_pipeline(c, argv[1]);
	} else if (strcmp(argv[2], "fork") == 0) {
		run_child(c, false);
		run_child(c, true);
	} else {
		errx(1, "no mode %s", argv[2]);
	}
	hf_close(c);
	return 0;
}
