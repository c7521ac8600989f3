/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.h - state.json: everything of a VM but its memory
 *
 * Format. One JSON object, whose first two lines have a fixed form in every
 * version there will be:
 *
 *   {"crc64":"<16 hex digits>",
 *   "version":"2.1.0","volt_version":"...","id":"<16 hex digits>",
 *
 * The CRC is CRC-64/ECMA-182 of all bytes behind the first line, to the end of
 * the file: `tail -n +2 state.json` prints them. "version" is that of the
 * format: a program reads the versions with its own first number and a second
 * number up to its own. "id" is random and names the memory file (files.h).
 * What follows is described by snapshot_schema and the tables of the parts:
 *
 *   created, host    when and where
 *   memory           size, how the memory file stores it, its CRC if that was
 *                    asked for, for a diff the moment that the rest is of;
 *                    since 2.1 moment, run and proof (identity.h, proof.h)
 *   config           what the VM was made of (the machine's own table)
 *   vm, vcpus        KVM's part. A segment, MSR, XCR or CPUID entry is a row:
 *                    the values of its struct, in their order
 *   devices          [{"name", "state"}]: each state by its device's table
 *
 * Decoding is strict and checks form; what the values mean is checked by those
 * who take them over. A file is hostile until then.
 */
#pragma once

#include "image/identity.h"
#include "kvm/vcpu_state.h"
#include "kvm/vm_state.h"

#define SNAPSHOT_VERSION     "2.1.0"
#define SNAPSHOT_VCPUS_MAX   32u
#define SNAPSHOT_DEVICES_MAX 64u
#define SNAPSHOT_TEXT_MAX    96u
#define SNAPSHOT_STATE_MAX   MIB(16)

/**
 * struct snapshot_head - the first two lines
 */
struct snapshot_head {
	uint64_t crc;
	uint64_t id;
	char version[SNAPSHOT_TEXT_MAX];
	char volt_version[SNAPSHOT_TEXT_MAX];
};

/**
 * struct snapshot_host - where it was taken
 * @boot:	the kernel's id of this boot (/proc/sys/kernel/random/boot_id),
 *		empty when unknown
 */
struct snapshot_host {
	char boot[SNAPSHOT_TEXT_MAX];
	char cpu[SNAPSHOT_TEXT_MAX];
	char kernel[SNAPSHOT_TEXT_MAX];
	struct host_features features;
};

/**
 * struct snapshot_device - a device's part
 * @state:	JSON; from decoding, a piece of the text
 */
struct snapshot_device {
	char name[SNAPSHOT_TEXT_MAX];
	struct schema_raw state;
};

enum snapshot_storage {
	SNAPSHOT_RAW = 1, /* as it is in RAM, region after region */
	SNAPSHOT_DIFF =
		2, /* the same, but its holes are as in snapshot @base */
};

#define SNAPSHOT_ID_TEXT 17u /* 16 hex digits */

/**
 * struct snapshot - one VM
 * @created_ns:	CLOCK_REALTIME
 * @memory_crc:	memory_crc() of the memory file, 16 hex digits; empty: none
 * @base:	the moment that a diff needs; empty otherwise
 * @moment, @run, @proof:	of the memory; empty in format 2.0
 */
struct snapshot {
	struct snapshot_head head;
	char created[SNAPSHOT_TEXT_MAX];
	uint64_t created_ns;
	struct snapshot_host host;
	uint64_t memory_bytes;
	enum snapshot_storage storage;
	char base[SNAPSHOT_TEXT_MAX];
	uint64_t moment;
	uint64_t run;
	struct memory_proof proof;
	char memory_crc[SNAPSHOT_TEXT_MAX];
	struct schema_raw config;
	struct kvm_vm_state vm;
	unsigned int nr_vcpus;
	struct vcpu_state vcpus[SNAPSHOT_VCPUS_MAX];
	unsigned int nr_devices;
	struct snapshot_device devices[SNAPSHOT_DEVICES_MAX];
};

extern const struct schema_object snapshot_schema;

/**
 * snapshot_describe() - now, this host, this program; all but the VM's own
 * parts
 * @boot:	the kernel's id of this boot; "": not known
 * @kernel:	its release: snapshot_kernel_name()
 */
void snapshot_describe(struct snapshot *s, uint64_t id, const char *boot,
		       const char *kernel);

/* The release of the host's kernel, which a locked process cannot ask for. */
void snapshot_kernel_name(char name[static SNAPSHOT_TEXT_MAX]);

/*
 * The host's CPU features and kernel are those of @s. The same boot is enough:
 * each CPUID that need not be asked saves microseconds on hosts that are
 * virtual machines themselves. @boot as above.
 */
bool snapshot_same_host(const struct snapshot *s, const char *boot);

/* The text of an id, or of a CRC. */
void snapshot_id_text(uint64_t id, char text[static SNAPSHOT_ID_TEXT]);

/* How its memory is known. */
void snapshot_identity_of(const struct snapshot *s,
			  struct snapshot_identity *who);

/* @s is of the memory that @who says. */
void snapshot_set_identity(struct snapshot *s,
			   const struct snapshot_identity *who);

/* The text of state.json; @out->failed when memory is short. */
void snapshot_encode(const struct snapshot *s, struct buf *out);

/**
 * snapshot_read_head() - the first two lines, and where the CRC begins
 *
 * Return: 0, or -EINVAL with a sentence when this is no state of ours.
 */
int snapshot_read_head(const char *text, size_t len, struct snapshot_head *head,
		       size_t *covered, struct err *err) __must_check;

/**
 * snapshot_check_crc() - what follows the first line is as it was written
 *
 * Return: 0, or -EBADMSG with a sentence.
 */
int snapshot_check_crc(const struct snapshot_head *head, const char *covered,
		       size_t len, struct err *err) __must_check;

/* The version can be read. Return: 0; -ENOTSUP with a sentence that says what
 * it would take. */
int snapshot_check_version(const struct snapshot_head *head,
			   struct err *err) __must_check;

/**
 * snapshot_decode() - from the text of state.json
 * @s:		zeroed; refers to @text afterwards
 *
 * Return: 0, or -EINVAL, -ENOTSUP, -EBADMSG (the CRC) with a sentence.
 */
int snapshot_decode(const char *text, size_t len, struct snapshot *s,
		    struct err *err) __must_check;
