// SPDX-License-Identifier: Apache-2.0
/*
 * save.c - the gate's part of writing a snapshot (theory of operation: save.h)
 */
#include "gate/gate_priv.h"

#include "snapshot/place.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>

int gate_take_base(struct gate *gate)
{
	struct gate_save *save = &gate->save;

	if (gate->in.len != sizeof(save->of))
		return -EPROTO;
	memcpy(&save->of, gate->in.tail, sizeof(save->of));
	save->known = true;
	return 0;
}

static int new_id(uint64_t *id, struct err *err)
{
	while (*id == 0)
		if (getrandom(id, sizeof(*id), 0) != sizeof(*id))
			return err_set(err, -EIO, "No random numbers");
	return 0;
}

/* ---- the beginning ---- */

/**
 * struct wanted - what the request asks for
 * @dir:	its snapshot_path, when that is a directory
 */
struct wanted {
	struct snapshot_paths paths;
	struct buf dir;
	bool diff;
};

/* A request that says nothing of the kind wants a full one. */
static int read_request(struct gate *gate, struct wanted *wanted)
{
	const struct need_request *request = &gate->request;
	cleanup_buf struct buf text = {0}, memory = {0};
	int r = need_text(request, "snapshot_type", NULL, &text);

	if (r < 0 && r != -ENOENT)
		return r;
	wanted->diff = r == 0 && strcmp(text.data, "Diff") == 0;
	r = need_text(request, "mem_file_path", NULL, &memory);
	if (r < 0 && r != -ENOENT)
		return r;
	if (r == 0) {
		r = need_text(request, "snapshot_path", NULL, &text);
		return r < 0 ? r
			     : snapshot_paths_of(&wanted->paths, text.data,
						 memory.data);
	}
	r = need_text(request, "snapshot_path", NULL, &wanted->dir);
	return r < 0 ? r : snapshot_paths_in(&wanted->paths, wanted->dir.data);
}

/* Under a diff of a VM that has a base lies what is there. */
static int find_layer(struct gate_save *save, const struct wanted *wanted,
		      int *under, struct err *err)
{
	const struct snapshot_place place = {
		.paths = &wanted->paths,
		.base = &save->of.base,
		.run = save->run,
		.tracked = save->of.tracked,
	};

	if (!wanted->diff || save->of.base.label.moment == 0)
		return 0;
	return snapshot_layer(&place, under, &save->files.label.base, err);
}

static int begin_files(struct gate_save *save, const struct wanted *wanted,
		       int *under, struct err *err)
{
	struct snapshot_label *label = &save->files.label;
	uint64_t id = 0;
	int r = new_id(&id, err);

	if (r == 0)
		r = new_id(&save->run, err);
	if (r == 0)
		r = snapshot_files_begin(&save->files, &wanted->paths, id, err);
	label->moment = id;
	label->run = save->run;
	return r == 0 ? find_layer(save, wanted, under, err) : r;
}

/* Nothing of it stays, a directory that was made for it neither. */
static void save_give_up(struct gate *gate)
{
	struct gate_save *save = &gate->save;
	bool committed = save->files.committed;

	snapshot_files_end(&save->files);
	if (save->made && !committed)
		snapshot_dir_remove(gate_files(gate), save->made);
	free(save->made);
	save->made = NULL;
	save->begun = false;
}

static int gate_save_begin(struct gate *gate, int *under, struct err *err)
{
	struct gate_save *save = &gate->save;
	struct wanted wanted = {0};
	bool made = false;
	int r = read_request(gate, &wanted);

	wanted.paths.opener = gate_files(gate);
	save->files = SNAPSHOT_FILES_NONE;
	save->begun = true;
	if (r < 0)
		(void)err_set(err, r, "Cannot save: %s", err_name(r));
	else if (wanted.dir.len > 0)
		r = snapshot_dir_make(gate_files(gate), wanted.dir.data, &made,
				      err);
	if (made) {
		save->made = wanted.dir.data;
		wanted.dir = (struct buf){0};
	}
	if (r == 0)
		r = begin_files(save, &wanted, under, err);
	snapshot_paths_free(&wanted.paths);
	buf_free(&wanted.dir);
	if (r < 0)
		save_give_up(gate);
	if (gate_refused(gate, r))
		return err_set(err, r, "Cannot save: %s",
			       gate_refused(gate, r));
	return r;
}

static int dup_fd(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return copy < 0 ? -errno : copy;
}

/* The files stay open here, too, until they have their names. */
static int fill_reply(const struct gate_save *save, struct gate_reply *reply,
		      int under)
{
	const struct save_place place = {.label = save->files.label};

	reply->fd[SAVE_STATE] = dup_fd(save->files.state.fd);
	reply->fd[SAVE_MEMORY] = dup_fd(save->files.memory.fd);
	reply->fd[SAVE_UNDER] = under;
	reply->nr_fds = under < 0 ? 2 : 3;
	memcpy(reply->text, &place, sizeof(place));
	reply->len = sizeof(place);
	if (reply->fd[SAVE_STATE] >= 0 && reply->fd[SAVE_MEMORY] >= 0)
		return 0;
	gate_reply_drop(reply);
	return -EMFILE;
}

static void fill_error(struct gate_reply *reply, int rc, const struct err *err)
{
	reply->m.rc = rc;
	reply->len = strlen(err->text);
	memcpy(reply->text, err->text, reply->len);
}

int gate_take_save(struct gate *gate)
{
	struct gate_save *save = &gate->save;
	struct gate_reply *reply = &gate->reply;
	struct err err = {0};
	int under = -1;
	int r;

	if (save->begun || !save->known)
		return -EPROTO;
	reply->m = (struct wire_message){
		.kind = WIRE_DESCRIPTOR,
		.serial = gate->in.m.serial,
	};
	if (!need_is(&gate->request, API_PUT, "snapshot", "create"))
		r = err_set(&err, -EACCES, "No snapshot is asked for");
	else
		r = gate_save_begin(gate, &under, &err);
	if (r == 0) {
		r = fill_reply(save, reply, under);
		if (r < 0) {
			save_give_up(gate);
			(void)err_set(&err, r, "Cannot save: %s", err_name(r));
		}
	}
	if (r < 0)
		fill_error(reply, r, &err);
	gate_send_reply(gate);
	return 0;
}

/* ---- the end ---- */

static bool is_sane(const struct memory_proof *proof)
{
	return proof->bytes <= sizeof(proof->sample) &&
	       proof->bytes % sizeof(proof->sample[0]) == 0 &&
	       proof->own <= MEMORY_SAMPLES;
}

int gate_take_saved(struct gate *gate)
{
	struct gate_save *save = &gate->save;
	struct gate_reply *reply = &gate->reply;
	struct save_done done;
	struct err err = {0};
	int r;

	if (!save->begun || gate->in.len != sizeof(done))
		return -EPROTO;
	memcpy(&done, gate->in.tail, sizeof(done));
	if (!is_sane(&done.proof))
		return -EPROTO;
	r = snapshot_files_commit(&save->files, &err);
	if (r == 0 && save->of.tracked)
		save->of.base = (struct snapshot_identity){
			.label = save->files.label,
			.size = save->of.size,
			.proof = done.proof,
		};
	save_give_up(gate);
	reply->m = (struct wire_message){
		.kind = WIRE_DONE,
		.serial = gate->in.m.serial,
	};
	if (r < 0)
		fill_error(reply, r, &err);
	gate_send_reply(gate);
	return 0;
}

int gate_take_aborted(struct gate *gate)
{
	if (!gate->save.begun)
		return -EPROTO;
	save_give_up(gate);
	return 0;
}

void gate_save_end(struct gate *gate)
{
	if (gate->save.begun)
		save_give_up(gate);
}
