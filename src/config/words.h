/* SPDX-License-Identifier: Apache-2.0 */
/*
 * words.h - parts of the configuration as a person types them: --disk
 * PATH,ro,id=x
 *
 * A part's words are a list here, N(word, what, member, usage). The part's
 * table of fields has the rest: of which kind the member's value is, its range,
 * its names, whether it notes that it was given. The help (vm_args.h) is the
 * usages, one behind the other.
 *
 *   word	before its '='; a bool stands alone. "": the value that comes
 *		first, without a word, up to the first comma
 *   what	how a sentence calls a value; NULL: such a word is unknown
 *
 * Names of enums are typed in small letters.
 *
 * Context: the VMM thread.
 */
#pragma once

#include "base/schema.h"
#include "config/config.h"

#define CONFIG_DISK_WORDS(N)                            \
	N("", "path", path_on_host, "PATH")             \
	N("ro", NULL, is_read_only, "[,ro]")            \
	N("id", "id", drive_id, "[,id=ID]")             \
	N("engine", NULL, io_engine, "[,engine=async]") \
	N("cache", NULL, cache_type, "[,cache=unsafe]")

#define CONFIG_PMEM_WORDS(N)                    \
	N("", "path", path_on_host, "PATH")     \
	N("ro", NULL, read_only, "[,ro]")       \
	N("root", NULL, root_device, "[,root]") \
	N("id", "id", id, "[,id=ID]")

#define CONFIG_NET_WORDS(N)                                  \
	N("tap", "tap", host_dev_name, "tap=NAME")           \
	N("socket", "socket", host_dev_name, "|socket=PATH") \
	N("mac", "MAC address", guest_mac, "[,mac=MAC]")     \
	N("mtu", "MTU", mtu, "[,mtu=N]")                     \
	N("vhost", NULL, vhost, "[,vhost]")                  \
	N("egress", "rules", egress, "[,egress=RULES]")

#define CONFIG_VSOCK_WORDS(N)               \
	N("cid", "CID", guest_cid, "cid=N") \
	N("path", "path", uds_path, ",path=SOCKET")

#define CONFIG_WORD_USAGE(word, what, member, usage) usage

/**
 * struct config_word - a row of such a list
 * @offset:	of the member
 */
struct config_word {
	const char *word;
	const char *what;
	size_t offset;
};

/* For a file that says whose members they are (fields.h). */
#define CONFIG_WORD_ROW(word, what, member, usage) \
	{word, what, offsetof(CONFIG_OF, member)},

/**
 * struct config_words - the words of a part
 * @flag:	without its dashes
 * @takes:	one sentence for every mistake but a word that is given twice;
 *		NULL: a sentence for each
 */
struct config_words {
	const char *flag;
	const char *usage;
	const char *takes;
	const struct schema_object *object;
	const struct config_word *words;
	size_t nr;
};

/**
 * config_words_parse() - the words of @text into a part's struct
 * @item:	its owner frees it, also after a failure
 *
 * Return: 0; -EINVAL or -ENOMEM with a sentence.
 */
int config_words_parse(const struct config_words *words, const char *text,
		       void *item, struct err *err) __must_check;

/**
 * config_disk_set() - one --disk of the command line
 * @index:	of it; unless it names another, the drive's id is "disk<index>"
 * @root:	it is the root device
 *
 * For a person the cache is Writeback: the guest's fsync() then means what it
 * says.
 *
 * Return: 0 or -errno with a sentence.
 */
int config_disk_set(const char *text, unsigned int index, bool root,
		    struct vm_config *config, struct err *err) __must_check;

/**
 * config_pmem_set() - one --pmem of the command line
 * @index:	of it; unless it names another, the id is "pmem<index>"
 *
 * Return: 0 or -errno with a sentence.
 */
int config_pmem_set(const char *text, unsigned int index,
		    struct vm_config *config, struct err *err) __must_check;

/**
 * config_net_set() - one --net of the command line
 * @index:	of it; the interface's id is "net<index>"
 *
 * Return: 0 or -errno with a sentence.
 */
int config_net_set(const char *text, unsigned int index,
		   struct vm_config *config, struct err *err) __must_check;

/* --vsock of the command line. Return: 0 or -errno with a sentence. */
int config_vsock_set(const char *text, struct vm_config *config,
		     struct err *err) __must_check;
