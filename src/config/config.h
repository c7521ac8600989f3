/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.h - what a microVM is made of, before it is made
 *
 * Theory of operation
 *
 * Configuration is plain data: struct vm_config. The command line, the config
 * file, the API and a snapshot fill it in; vm_start() reads it. Nothing in this
 * folder knows of a device. Names and units are those of Firecracker's API.
 *
 * There is one description of it. parts.h has the list of parts: machine,
 * drives and so on. Each part is one file with its struct's table of fields
 * (fields.h), a line a member, that says what the member is to a client, to a
 * snapshot and to nobody but ourselves. From the list and the tables come
 *
 *   the bodies of PUT and PATCH, GET /vm/config, the config file (src/api)
 *   the configuration in a snapshot (state.h)
 *   other names at a restore (override.h)
 *   "PATH,ro,id=x" for people, and its help (words.h)
 *   freeing: strings are owned, and NULL when unset
 *
 * What cannot be said in a table is in the part's file: what goes with what,
 * opening, closing. A part's files, taps and sockets are opened when it is set:
 * what the path names later does not matter. Who opens is vm_config's opener.
 *
 * A new field is a member of its struct and a line of its table, and the code
 * that obeys it. A new part is a file and a line of the list.
 *
 * Context: the VMM thread.
 */
#pragma once

#include "base/err.h"
#include "base/fd.h"
#include "base/schema.h"
#include "config/limits.h"
#include "host/path.h"

/* Firecracker's kernel command line when boot_args is absent. */
#define CONFIG_CMDLINE_DEFAULT                                               \
	"reboot=k panic=1 nomodule 8250.nr_uarts=0 i8042.noaux i8042.nomux " \
	"i8042.dumbkbd swiotlb=noforce"

#define CONFIG_ID_MAX 64u

/* The names of an enum are a list CONFIG_X(N) of N(name, value). */
#define CONFIG_NAME_AND_VALUE(name, value) {name, value}
#define CONFIG_NAME(name, value)           name

/**
 * struct token_bucket_config - @size 0 or @refill_time 0: no limit
 */
struct token_bucket_config {
	bool present;
	bool has_one_time_burst;
	uint64_t size;
	uint64_t one_time_burst;
	uint64_t refill_time; /* ms */
};

struct rate_limiter_config {
	bool present;
	struct token_bucket_config bandwidth; /* bytes */
	struct token_bucket_config ops;
};

/**
 * struct boot_source_config - files are opened when it is set
 * @kernel_fd, @initrd_fd:	-1 when absent; read-only, O_CLOEXEC
 */
struct boot_source_config {
	bool present;
	char *kernel_image_path;
	char *initrd_path;
	char *boot_args;
	int kernel_fd;
	int initrd_fd;
};

enum config_huge_pages {
	HUGE_PAGES_NONE,
	HUGE_PAGES_TRANSPARENT,
	HUGE_PAGES_2M,
};

#define CONFIG_HUGE_PAGES(N)                                                  \
	N("None", HUGE_PAGES_NONE), N("Transparent", HUGE_PAGES_TRANSPARENT), \
		N("2M", HUGE_PAGES_2M)

enum config_cpu_template {
	CPU_TEMPLATE_UNSET,
	CPU_TEMPLATE_NONE,
	CPU_TEMPLATE_C3,
	CPU_TEMPLATE_T2,
	CPU_TEMPLATE_T2S,
	CPU_TEMPLATE_T2CL,
	CPU_TEMPLATE_T2A,
};

struct machine_config {
	bool present; /* set by a PUT or PATCH; else the defaults */
	unsigned int vcpu_count;
	uint64_t mem_size_mib;
	bool smt;
	bool track_dirty_pages;
	bool dirty_ring; /* ours: by KVM's rings, not by its log */
	enum config_huge_pages huge_pages;
	enum config_cpu_template cpu_template;
};

/* Bits of a register: those in @filter become @value's. */
struct cpu_bits {
	uint64_t filter;
	uint64_t value;
};

enum cpu_register {
	CPU_EAX,
	CPU_EBX,
	CPU_ECX,
	CPU_EDX,
	CPU_REGISTERS,
};

/* An extension of KVM by its number: the host must have it, or need not. */
struct cpu_capability {
	uint32_t number;
	uint32_t removed;
};

struct cpu_register_change {
	uint32_t which; /* enum cpu_register */
	struct cpu_bits bitmap;
};

/**
 * struct cpu_leaf_change - of what CPUID tells
 * @flags:	KVM_CPUID_FLAG_*: does the leaf have subleaves
 * @modifiers:	struct cpu_register_change
 */
struct cpu_leaf_change {
	uint32_t leaf;
	uint32_t subleaf;
	uint32_t flags;
	struct schema_list modifiers;
};

struct cpu_msr_change {
	uint32_t addr;
	struct cpu_bits bitmap;
};

/**
 * struct cpu_config - a custom CPU template (vm/template.h)
 * @kvm_capabilities:	struct cpu_capability
 * @cpuid_modifiers:	struct cpu_leaf_change
 * @msr_modifiers:	struct cpu_msr_change
 */
struct cpu_config {
	bool present;
	struct schema_list kvm_capabilities;
	struct schema_list cpuid_modifiers;
	struct schema_list msr_modifiers;
};

enum config_irqchip {
	IRQCHIP_SPLIT, /* LAPIC in KVM, our IOAPIC, no PIC, no PIT */
	IRQCHIP_FULL,  /* KVM's LAPIC, IOAPIC, PIC and PIT */
};

#define CONFIG_IRQCHIPS(N) N("split", IRQCHIP_SPLIT), N("full", IRQCHIP_FULL)

/* By which protocol an ELF kernel is entered. */
enum config_entry {
	ENTRY_AUTO, /* PVH when the kernel has it */
	ENTRY_PVH,
	ENTRY_LINUX64,
};

#define CONFIG_ENTRIES(N) \
	N("auto", ENTRY_AUTO), N("pvh", ENTRY_PVH), N("linux64", ENTRY_LINUX64)

/**
 * struct serial_config - where the console's output goes
 * @serial_out_path:	NULL: stdout
 * @fd:		of it, when it was opened as it was set: in a process that is
 *		locked before it is configured. Else -1, and the start opens it
 */
struct serial_config {
	bool present;
	char *serial_out_path;
	struct token_bucket_config rate_limiter;
	int fd;
};

enum config_cache_type {
	CACHE_UNSAFE,    /* the guest is offered no flush */
	CACHE_WRITEBACK, /* flush means fsync */
};

enum config_io_engine {
	IO_ENGINE_SYNC,
	IO_ENGINE_ASYNC, /* io_uring */
};
/* In the order in which a message lists them. */
#define CONFIG_IO_ENGINES(N) \
	N("Async", IO_ENGINE_ASYNC), N("Sync", IO_ENGINE_SYNC)

/**
 * struct drive_config - a block device
 * @fd:		of path_on_host, opened when it is set; -1 when absent
 * @locked:	nobody else may use the file (drive_lock.h)
 * @lock_fd:	where the lock is, when it is not on @fd; else -1
 * @is_overlay:	@fd is a copy of path_on_host's file that is this VM's alone
 *		and has no name
 * @base_fd:	of an overlay: what is to be copied to @fd yet, or -1
 * @pending:	the guest writes to it, and @fd is read only: a lease gives it a
 *		file of its own before the guest runs
 */
struct drive_config {
	char *drive_id;
	bool is_root_device;
	bool has_is_read_only;
	bool is_read_only;
	char *partuuid;
	char *path_on_host;
	char *socket;
	bool has_cache_type;
	bool has_io_engine;
	bool has_discard;
	bool discard; /* offer DISCARD to the guest, which is the default */
	enum config_cache_type cache_type;
	enum config_io_engine io_engine;
	struct rate_limiter_config rate_limiter;
	int fd;
	int lock_fd;
	bool locked;
	bool is_overlay;
	int base_fd;
	bool pending;
};

/**
 * struct net_config - a network interface
 * @host_dev_name:	of a tap; with a '/' in it, which no tap has, the path
 *		of a stream socket
 * @egress:	ours: of a socket, what the guest may reach (base/ip_rules.h);
 *		NULL: all
 * @fd:		of the tap or socket, opened when it is set
 * @vhost_fd:	/dev/vhost-net, likewise; -1 without @vhost
 * @pending:	@fd is -1: a lease gives it its tap before the guest runs
 */
struct net_config {
	char *iface_id;
	char *host_dev_name;
	bool has_mac;
	bool has_mtu;
	uint8_t guest_mac[6];
	uint16_t mtu;
	bool vhost; /* ours: the kernel's vhost-net moves the frames */
	char *egress;
	struct rate_limiter_config rx_rate_limiter;
	struct rate_limiter_config tx_rate_limiter;
	int fd;
	int vhost_fd;
	bool pending;
};

/**
 * struct vsock_config - the socket device
 * @vsock_id:	deprecated, ignored
 * @fd:		listens on uds_path, since it was set; -1 when absent, and until
 *		a lease gives it its path
 * @file:	the socket's, to remove no other
 */
struct vsock_config {
	bool present;
	uint32_t guest_cid;
	char *uds_path;
	char *vsock_id;
	int fd;
	struct file_id file;
};

struct entropy_config {
	bool present;
	struct rate_limiter_config rate_limiter;
};

struct balloon_config {
	bool present;
	uint32_t amount_mib;
	bool deflate_on_oom;
	uint16_t stats_polling_interval_s;
	bool free_page_hinting;
	bool free_page_reporting;
};

/**
 * struct memory_hotplug_config - memory that may be plugged (dev/mem.h)
 * @slot_size_mib:	of KVM's memory slots
 */
struct memory_hotplug_config {
	bool present;
	uint32_t total_size_mib;
	uint32_t block_size_mib;
	uint32_t slot_size_mib;
};

/**
 * struct pmem_config - a file that is memory of the guest (pmem.h)
 * @rate_limiter:	as it was set; GET shows it, like Firecracker's
 * @limits:	what PATCH made of it
 * @fd:		of path_on_host; -1: it could not be opened yet
 * @why:	-errno of that, or 0
 * @size:	of the file when it was made ready, bytes; 0: it is not
 * @locked:	nobody else may use the file
 */
struct pmem_config {
	char *id;
	char *path_on_host;
	bool root_device;
	bool read_only;
	struct rate_limiter_config rate_limiter;
	struct rate_limiter_config limits;
	int fd;
	int why;
	uint64_t size;
	bool locked;
};

enum config_mmds_version {
	CONFIG_MMDS_V1,
	CONFIG_MMDS_V2, /* with session tokens */
};

#define CONFIG_MMDS_VERSIONS(N) N("V1", CONFIG_MMDS_V1), N("V2", CONFIG_MMDS_V2)

/**
 * struct mmds_config - the metadata service
 * @network_interfaces:	char *: iface_ids of those that reach it
 * @imds_compat:	answers are never JSON
 */
struct mmds_config {
	bool present;
	enum config_mmds_version version;
	struct schema_list network_interfaces;
	uint8_t ipv4_address[4];
	bool imds_compat;
};

/**
 * struct vm_config - one microVM
 * @opener:	opens every path of this VM
 * @id:		--id
 * @folder:	that the process works in, as it was at the start; NULL: it is
 *		gone
 * @drives:	the root device first, then in the order in which they were set
 * @pmems:	in that order
 * @nets:	in that order
 * @entry:	protocol by which an ELF kernel is entered
 * @lock_drives: a drive's file that somebody else uses is refused, not only
 *		warned of
 * @nested:	the guest may run guests of its own; it is not saved then
 * @taps_are_there: a tap that is not there, or down, is refused: it is neither
 *		made nor brought up
 * @boot_timer:	offer the boot timer device (a guest write to it is logged)
 */
struct vm_config {
	const struct path_opener *opener;
	char *id;
	char *folder;
	struct machine_config machine;
	struct cpu_config cpu;
	struct boot_source_config boot_source;
	struct serial_config serial;
	struct drive_config *drives;
	size_t nr_drives;
	struct pmem_config *pmems;
	size_t nr_pmems;
	struct net_config *nets;
	size_t nr_nets;
	struct vsock_config vsock;
	struct mmds_config mmds;
	struct entropy_config entropy;
	struct balloon_config balloon;
	struct memory_hotplug_config memory_hotplug;
	enum config_irqchip irqchip;
	enum config_entry entry;
	bool boot_timer;
	bool nested;
	bool lock_drives;
	bool taps_are_there;
};

/* Can a VM be called so? Return: 0; -EINVAL with a sentence. */
int vm_config_check_id(const char *id, struct err *err) __must_check;

/* Frees what it holds, but not the struct itself. */
void drive_config_free(struct drive_config *drive);
void net_config_free(struct net_config *net);
/* Removes the socket's file, too, if it is still ours. */
void vsock_config_free(struct vsock_config *vsock);

/* Frees what it holds; nothing of the CPU is changed then. */
void cpu_config_free(struct cpu_config *cpu);

/**
 * memory_hotplug_check() - are these sizes possible?
 *
 * Return: 0 or -EINVAL with Firecracker's sentence.
 */
int memory_hotplug_check(const struct memory_hotplug_config *config,
			 struct err *err) __must_check;

/* --hotplug-memory of the command line. Return: 0 or -errno with a sentence. */
int memory_hotplug_set(uint64_t mib, struct vm_config *config,
		       struct err *err) __must_check;

/* The defaults: version 1, Firecracker's address, no interface. */
void mmds_config_init(struct mmds_config *mmds);

/**
 * mmds_config_check() - does @mmds go with the interfaces of @config?
 *
 * Return: 0 or -EINVAL with Firecracker's sentence.
 */
int mmds_config_check(const struct vm_config *config,
		      const struct mmds_config *mmds,
		      struct err *err) __must_check;

/* Frees what it holds; the defaults are left. */
void mmds_config_free(struct mmds_config *mmds);

/**
 * vsock_config_bind() - listen on @vsock->uds_path
 *
 * Return: 0 or -errno with Firecracker's sentence.
 */
int vsock_config_bind(const struct path_opener *opener,
		      struct vsock_config *vsock, struct err *err) __must_check;

/* Is it a stream socket that is named, not a tap? */
static inline bool net_config_is_socket(const char *host_dev_name)
{
	return strchr(host_dev_name, '/') != NULL;
}

/**
 * net_config_attach() - attach to the tap @name, or connect to that socket
 * @index:	it is the n-th interface of the request or snapshot, from 0
 *
 * Return: the descriptor, or -errno with a sentence.
 */
int net_config_attach(const struct vm_config *config, const char *name,
		      unsigned int index, struct err *err) __must_check;

/**
 * vm_config_put_net() - set a network interface, new or again (by its id)
 * @net:	taken over, and left empty, on success
 * @index:	it is the n-th interface of the request or snapshot, from 0
 *
 * Opens its tap. A failure leaves @config as it was.
 *
 * Return: 0 or -errno with a sentence.
 */
int vm_config_put_net(struct vm_config *config, struct net_config *net,
		      unsigned int index, struct err *err) __must_check;

/* The interface of that id, or NULL. */
struct net_config *vm_config_find_net(const struct vm_config *config,
				      const char *id);

/* What is absent in @from stays; a bucket without a limit takes it away. */
void rate_limiter_config_update(struct rate_limiter_config *to,
				const struct rate_limiter_config *from);
