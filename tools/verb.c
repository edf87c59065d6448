/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "tool.h"

enum op_index {
#define OP(id, symbol, in, out, wire, path, cap, flags, verb, sentence) \
	INDEX_##symbol,
#include <holdfast/ops.def>
#undef OP
	OPS
};

/* clang-format off */
static const struct verb verbs[] = {
#define OP(id, symbol, in, out, wire, path, cap, flags, verb, says)            \
	[INDEX_##symbol] = { .words = (verb), .sentence = (says),              \
		.op = &ops[INDEX_##symbol] },
#include <holdfast/ops.def>
#undef OP
	{ .words = "seal", .run = seal_run,
		.synopsis = "KEY [FILE] [--out FILE] [OPTION...] | --info FILE | --rewrap FILE",
		.sentence = "Encrypt a file of any size under a named key",
		.help = "The data stays here: the service gives a data key, and its wrapped form goes into\n"
			"the sealed file. FILE is the standard input without it or with -.\n"
			"  --out FILE                    where to; it appears when all of it is there\n"
			"  --force                       replace that file\n"
			"  --context NAME=VALUE          bind the file to this; shown in clear; repeatable\n"
			"  --key-version N               the version of the key; the latest without it\n"
			"  --chunk-size BYTES            4K to 1M, a power of two (64K)\n"
			"  --quiet                       no progress on the terminal\n"
			"  --info FILE                   show what a sealed file says of itself; needs no key\n"
			"  --rewrap FILE                 wrap its data key under the latest version of the key,\n"
			"                                in place, without touching the rest\n" },
	{ .words = "open", .run = open_run,
		.synopsis = "[FILE] [--out FILE] [OPTION...]",
		.sentence = "Decrypt what seal made, or a part of it",
		.help = "FILE is the standard input without it or with -. A file that was changed or cut\n"
			"off in any way does not open: with --out there is no file then; on the standard\n"
			"output what came before the damage was written, and the exit status is 2.\n"
			"  --out FILE                    where to; for its owner only; it appears when all\n"
			"                                of it is there\n"
			"  --force                       replace that file\n"
			"  --context NAME=VALUE          refuse a file that is not bound to this; repeatable\n"
			"  --key KEY                     the key, if its name is another one now\n"
			"  --offset N, --length N        only that part, of a FILE that is no pipe\n"
			"  --quiet                       no progress on the terminal\n" },
	{ .words = "hsm init", .run = keyd_hsm_init_run,
		.synopsis = "[--shares N --threshold K [OPTION...]] [--uri URI] [--pin-source SOURCE]",
		.sentence = "Make the master key in the HSM, before the service first starts",
		.help = "Runs 'holdfast-keyd --init'. The key is born in the HSM and never outside, unless\n"
			"shares are asked for: then it is made here, split, and put into the HSM.\n"
			"  --uri URI                     the PKCS#11 URI (RFC 7512) of the token\n"
			"  --pin-source SOURCE           where its PIN is: file:PATH, env:NAME, fd:N or\n"
			"                                cred:NAME; without these two keyd.conf says it\n"
			"  --shares N --threshold K      N shares, of which any K bring the master key back\n"
			"  --share-dir DIR               a file for each; without it they are shown, one at a time\n"
			"  --share-to FILE               encrypt a share to this RSA public key (PEM); once for each\n" },
	{ .words = "hsm restore-master", .run = keyd_hsm_restore_master_run,
		.synopsis = "[FILE...] [--device NAME] [--uri URI] [--pin-source SOURCE]",
		.sentence = "Put the master key into an HSM from its shares; the service must not run",
		.help = "Runs 'holdfast-keyd --restore-master'. Each FILE is one share; without any they are\n"
			"typed at the terminal, where they are not shown. Nothing is changed unless they open\n"
			"the keyrings of the store.\n"
			"  --device NAME                 the HSM in keyd.conf; the first one without it\n"
			"  --uri URI                     that HSM's token, instead of what keyd.conf says\n"
			"  --pin-source SOURCE           where its PIN is, as for 'holdfast hsm init'\n" },
	{ .words = "hsm probe", .run = keyd_hsm_probe_run,
		.synopsis = "[--device NAME] [--uri URI] [--pin-source SOURCE]",
		.sentence = "Show what the HSM can do, tried with known answers",
		.help = "Asks the service; where none runs, or with an option, runs 'holdfast-keyd --probe'.\n"
			"  --device NAME                 the HSM in keyd.conf; the first one without it\n"
			"  --uri URI                     that HSM's token, instead of what keyd.conf says\n"
			"  --pin-source SOURCE           where its PIN is, as for 'holdfast hsm init'\n" },
	{ .words = "key import", .run = key_import_run,
		.synopsis = "NAME FILE [--type TYPE] [OPTION]...",
		.sentence = "Make a key of material from outside, wrapped on its way",
		.help = "FILE is a private key (PEM or DER: PKCS#8, PKCS#1, SEC1), the PEM of a public key,\n"
			"or the bytes of a symmetric key. The key leaves this program only wrapped for a key\n"
			"that is in the HSM. NAME and FILE come before the options.\n"
			"  --type TYPE                   of a symmetric key (aes256-gcm96); others say theirs\n"
			"  --level wrapped|hsm           protection level; the service's default when absent\n"
			"  --keyring KEYRING             default when absent\n"
			"  --prefix TEXT                 what its text ciphertexts start with (vault)\n"
			"  --allow-rotation              the service may make further versions itself\n"
			"  --auto-rotate-period N        when the latest is so many seconds old; an hour at\n"
			"                                least, with --allow-rotation; 0: never\n"
			"  --derived                     every use gives a context, which leads to a key of\n"
			"                                its own\n"
			"  --committing                  ciphertexts open under one key only, and are not\n"
			"                                Vault's\n"
			"  --exportable                  key material may leave; cannot be taken back\n"
			"  --allow-plaintext-backup      the key may be backed up; cannot be taken back\n"
			"  --deletion-allowed            the key may be deleted\n"
			"  --dry-run                     change nothing; tell what would be changed\n" },
	{ .words = "key import-version", .run = key_import_version_run,
		.synopsis = "NAME FILE [--version N] [--dry-run]",
		.sentence = "Add a version from outside to an imported key",
		.help = "FILE as for 'holdfast key import'. NAME and FILE come before the options.\n"
			"  --version N                   complete that version, which has its public half only\n"
			"  --dry-run                     change nothing; tell what would be changed\n" },
	{ .words = "key retire-report", .run = retire_report_run,
		.synopsis = "(NAME | --all) [--older-than TIME]",
		.sentence = "Tell which versions of a key can be retired, which cannot, and why",
		.help = "RETIRE is yes, no, or check where the counters do not know: ciphertexts that were\n"
			"made under the version and not rewrapped since. RETIRE BELOW is what\n"
			"min_decryption_version can become.\n"
			"  --all                         report on all keys\n"
			"  --older-than TIME             how long ago the last use must be: seconds, or a number\n"
			"                                with m, h or d behind (30d, unless the service says\n"
			"                                otherwise)\n" },
	{ .words = "rewrap-file", .run = rewrap_file_run,
		.synopsis = "KEY FILE --out FILE [--batch N] [--force] [--quiet]",
		.sentence = "Encrypt a file of ciphertexts anew under the newest version of a key",
		.help = "FILE has a ciphertext in text form a line; what follows a tab is kept. The plaintexts\n"
			"are not shown. Lines of the newest version stay as they are. Killed at any time,\n"
			"the same command goes on where it was: what is done stands in OUT.partial.\n"
			"  --out FILE                    where to; it appears when all of it is there\n"
			"  --batch N                     lines in a request (500)\n"
			"  --force                       replace that file\n"
			"  --quiet                       no progress on the terminal\n" },
	{ .words = "backup", .run = keyd_backup_run, .synopsis = "FILE",
		.sentence = "Copy the store to a file, also while the service runs",
		.help = "Runs 'holdfast-keyd --backup', as a user who may read the store. The values in the\n"
			"copy are sealed: useless without the HSM.\n" },
	{ .words = "restore", .run = keyd_restore_run, .synopsis = "FILE",
		.sentence = "Put a copy of the store back; the service must not run",
		.help = "Runs 'holdfast-keyd --restore': as the user that the service runs as, who is to\n"
			"own the store. The old one is kept, with .before-restore behind its name.\n" },
	{ .words = "policy check", .run = keyd_policy_check_run, .synopsis = "DIR",
		.sentence = "Tell whether the policy files of a folder are valid",
		.help = "" },
	{ .words = "policy test", .run = policy_test_run,
		.synopsis = "SUBJECT... (OPERATION [NAME] | --path PATH --capability CAP) [--context NAME=VALUE]...",
		.sentence = "Tell whether somebody may do something, and by which rule",
		.help = "All SUBJECTs that are given together describe the one who asks. OPERATION is as in\n"
			"docs/operations.md (transit.sign) or a verb in quotes ('key rotate'); NAME is the\n"
			"key. Exit status 0: allowed, 2: denied, 1: there is no answer.\n"
			"  --uid UID, --user USER        SUBJECT: the user\n"
			"  --gid GID, --group GROUP      SUBJECT: a group\n"
			"  --unit UNIT                   SUBJECT: the unit of systemd\n"
			"  --exe PATH                    SUBJECT: the program\n"
			"  --cert NAME                   SUBJECT: the name in the client certificate\n"
			"  --subject KIND:VALUE          SUBJECT: as it stands in a bind block\n"
			"  --path PATH                   a path of policy, instead of OPERATION and NAME\n"
			"  --capability CAP              what is wanted there: create, read, update, delete,\n"
			"                                list, sudo\n"
			"  --context NAME=VALUE          a pair of the encryption context; repeatable\n" },
	{ .words = "audit verify", .run = audit_verify_run,
		.synopsis = "[--key PEM] [--expect SEQUENCE:HASH] FILE...",
		.sentence = "Prove that audit logs are whole, with nothing but the public key",
		.help = "Several files are walked as one chain, oldest first. Exit status 0: whole, 2: not\n"
			"whole, 4: whole, but the service noted that lines had been lost or changed before.\n"
			"  --key PEM                     the public key; audit.pub beside the last file without\n"
			"                                it. Keep a copy of it elsewhere, or whoever rewrites\n"
			"                                the log can replace the key with it\n"
			"  --expect SEQUENCE:HASH        how far the log must reach, as 'holdfast audit status'\n"
			"                                told before\n" },
	{ .words = "events", .run = events_run, .synopsis = "[--url URL] [TYPE]",
		.sentence = "Follow what happens: rotations, state changes, policy, HSM",
		.help = "Prints one line an event, a JSON object with -o json. TYPE is the beginning of\n"
			"the types to show (key).\n"
			"  --url URL                     of the feed, else $HOLDFAST_EVENTS, else\n"
			"                                ipc:///run/holdfast/events.sock\n" },
	{ .words = "bench", .run = bench_run, .synopsis = "[OPTION]...",
		.sentence = "Measure the service beside OpenSSL, bare sockets and others",
		.help = "Starts a service of its own in a private folder, with SoftHSM as its HSM; the one\n"
			"that runs is not touched. Options:\n"
			"  --list                        show what is measured, and stop\n"
			"  --only ROW                    measure only that; repeatable\n"
			"  --repeat N                    measurements of each, interleaved (5)\n"
			"  --seconds S                   of each measurement (1)\n"
			"  --quick                       just enough to see that all of it works\n"
			"  --full                        the large sizes: 4 GiB, 1,000,000 keys\n"
			"  --dir DIR                     where the folder is made ($TMPDIR, or /tmp)\n"
			"  --markdown                    print tables in Markdown\n"
			"  --plot FILE                   draw how far each goal is reached, as SVG\n"
			"  --update FILE                 put the tables into a Markdown file, between the\n"
			"                                lines <!-- bench --> and <!-- /bench -->, and the\n"
			"                                picture beside it\n" },
	{ .words = "help", .run = help_run, .synopsis = "[VERB]",
		.sentence = "Show all verbs, or what one takes", .help = "" },
	{ .words = "reference", .run = reference_run, .synopsis = "",
		.sentence = "Print the reference of all operations (Markdown)", .help = "" },
	{ .words = "completion", .run = completion_run, .synopsis = "bash",
		.sentence = "Print the completion script of a shell", .help = "" },
};
/* clang-format on */

enum { VERBS = sizeof(verbs) / sizeof(verbs[0]), LONGEST = 64 };

/* An operation whose verb a special one has taken over. */
static bool
is_shadowed(const struct verb *verb)
{
	for (size_t i = OPS; verb->op != NULL && i < VERBS; i++)
		if (strcmp(verbs[i].words, verb->words) == 0)
			return true;
	return false;
}

const struct verb *
verb_at(size_t i)
{
	for (size_t k = 0; k < VERBS; k++)
		if (verbs[k].words[0] != '\0' && !is_shadowed(&verbs[k]) &&
		    i-- == 0)
			return &verbs[k];
	return NULL;
}

/* How many words of argv are the verb's; 0 when they are not. */
static int
words_matched(const struct verb *verb, int argc, char **argv)
{
	const char *p = verb->words;
	int n = 0;

	while (*p != '\0') {
		size_t len = strcspn(p, " ");

		if (n == argc || strlen(argv[n]) != len ||
		    strncmp(argv[n], p, len) != 0)
			return 0;
		n++;
		p += len + (p[len] == ' ');
	}
	return n;
}

const struct verb *
verb_find(int argc, char **argv, int *used)
{
	const struct verb *best = NULL, *verb;

	*used = 0;
	for (size_t i = 0; (verb = verb_at(i)) != NULL; i++) {
		int n = words_matched(verb, argc, argv);

		if (n > *used) {
			*used = n;
			best = verb;
		}
	}
	return best;
}

bool
verb_is_group(const char *word)
{
	const struct verb *verb;
	size_t len = strlen(word);

	for (size_t i = 0; (verb = verb_at(i)) != NULL; i++)
		if (strncmp(verb->words, word, len) == 0 &&
		    verb->words[len] == ' ')
			return true;
	return false;
}

const struct verb *
verb_ending(const char *word)
{
	const struct verb *found = NULL, *verb;

	for (size_t i = 0; (verb = verb_at(i)) != NULL; i++) {
		const char *last = strrchr(verb->words, ' ');

		if (last == NULL || strcmp(last + 1, word) != 0)
			continue;
		if (found != NULL)
			return NULL;
		found = verb;
	}
	return found;
}

/* Insertions, deletions and changes from one to the other (Levenshtein). */
static unsigned
distance(const char *a, const char *b)
{
	unsigned row[LONGEST];
	size_t len = strlen(b);

	if (len >= LONGEST || strlen(a) >= LONGEST)
		return LONGEST;
	for (size_t k = 0; k <= len; k++)
		row[k] = (unsigned)k;
	for (size_t i = 0; a[i] != '\0'; i++) {
		unsigned diagonal = row[0];

		row[0] = (unsigned)i + 1;
		for (size_t k = 0; k < len; k++) {
			unsigned change = diagonal + (a[i] != b[k]);
			unsigned other =
			    1 + (row[k] < row[k + 1] ? row[k] : row[k + 1]);

			diagonal = row[k + 1];
			row[k + 1] = change < other ? change : other;
		}
	}
	return row[len];
}

const struct verb *
verb_nearest(const char *words)
{
	const struct verb *best = NULL, *verb;
	unsigned least = 4; /* more is another word, not a slip */

	for (size_t i = 0; (verb = verb_at(i)) != NULL; i++) {
		unsigned d = distance(words, verb->words);

		if (d < least) {
			least = d;
			best = verb;
		}
	}
	return best;
}
