/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_BENCH_H
#define TOOLS_BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What is measured: a row is a piece of work, a cell is one who does it (the
 * limit, the floor, Holdfast, a peer). All cells of a row are measured in
 * turn, and that several times over, so that what disturbs the machine
 * disturbs all of them.
 */
struct place;

enum {
	CELLS_MAX = 12,
	GOALS_MAX = 6,
	REPEATS_MAX = 101,
	NOTE_MAX = 160,
	PAYLOAD = 1024, /* bytes that one operation encrypts */
};

enum cell_state {
	CELL_MEASURED,
	CELL_NOT_INSTALLED, /* a peer that this machine lacks */
	CELL_REFUSED,       /* a peer that does not offer it */
	CELL_FAILED,
};

/* What one measurement gave. */
struct sample {
	double value;    /* in the unit of the row */
	double p50, p99; /* ns of one operation; 0: not measured */
	double cpu;      /* ns of CPU that the one who does the work spends on
			    an operation; 0: not measured */
};

/* What a cell has to do; its function knows which members count. */
struct work {
	const char *what; /* a key, a mechanism, a program */
	unsigned threads; /* 0: one */
	unsigned depth;   /* requests in flight of each; 0: one */
	unsigned items;   /* of a batch; 0: no batch */
	unsigned cores;   /* that all of it may use; 0: all */
};

struct bench {
	struct place *place;
	double seconds;      /* of one measurement */
	unsigned repeats;    /* of each cell */
	bool quick, full;    /* sizes of what depends on sizes */
	unsigned cores;      /* of this machine, that we may use */
	char note[NOTE_MAX]; /* why a cell was not measured */
};

typedef enum cell_state cell_fn(
    struct bench *b, const struct work *work, struct sample *out);

/* A function, because those who do the same work have nothing in common. */
struct cell {
	const char *who;
	cell_fn *run;
	struct work work;
	bool once; /* takes long, and hardly varies */
};

enum metric {
	METRIC_VALUE,
	METRIC_P50,
	METRIC_PER_CPU, /* operations in a second of CPU */
};

/*
 * `who` against another cell of the row, or the best of all whose name begins
 * so; or with `against` NULL against a number.
 */
struct goal {
	const char *who, *against;
	enum metric metric;
	bool at_most; /* else at least */
	double factor;
};

struct row {
	const char *name; /* for --only */
	const char *title;
	const char *unit;
	struct cell cells[CELLS_MAX];
	struct goal goals[GOALS_MAX];
};

extern const struct row rows[];
extern const size_t rows_count;

/* What all repetitions of a cell gave. */
struct measured {
	enum cell_state state;
	unsigned count;
	struct sample samples[REPEATS_MAX];
	char note[NOTE_MAX];
};

/* Of a row; in the order of its cells. */
struct result {
	const struct row *row;
	struct measured cells[CELLS_MAX];
};

size_t row_cells(const struct row *row);
size_t row_goals(const struct row *row);

/* Measures a row; false when somebody wants us to stop. */
bool row_run(struct bench *b, const struct row *row, struct result *out);

/* -- What cells do, by the file that has them -- */

/* limit.c: OpenSSL in this process. */
cell_fn limit_gcm, limit_stream, limit_p256, limit_rsa;

/* request.c: requests over a Unix socket. */
cell_fn request_echo, request_raw, request_nng, request_encrypt, request_sign,
    request_encrypt_inside, request_sign_inside;

/* module.c: PKCS#11 modules. */
cell_fn module_holdfast, module_softhsm, module_p11_kit;

/* tls.c: handshakes with nginx. */
cell_fn tls_handshakes;

/* seal.c: a large file. */
cell_fn seal_write, seal_cp, seal_holdfast, seal_memory;

/* scale.c: many keys, many connections. */
cell_fn scale_encrypt, scale_start, scale_key_memory, scale_beside,
    scale_connection_memory, scale_create, scale_disk;

/* idle.c: a daemon that nobody asks. */
cell_fn idle_wakeups, idle_memory;

/* cost.c: a request inside the daemon. */
cell_fn cost_stage, cost_allocations, cost_instructions;

#endif
