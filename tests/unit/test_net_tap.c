// SPDX-License-Identifier: Apache-2.0
/*
 * test_net_tap.c - network device on a real tap, in a namespace of its own
 *
 * The host's side is a packet socket on the tap's interface.
 */
#include "unit.h"

#include "host/path.h"
#include "host/tap.h"
#include "net_kit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#define TAP       "vtest0"
#define ETHERTYPE 0x88b5 /* as in net_kit_frame() */

struct world {
	struct net_kit net;
	int control; /* for ioctls on interfaces */
};

static void set_up_link(struct world *w, bool up, int mtu)
{
	struct ifreq ifr = {0};

	memcpy(ifr.ifr_name, TAP, sizeof(TAP));
	ifr.ifr_mtu = mtu;
	if (mtu)
		kit_must(ioctl(w->control, SIOCSIFMTU, &ifr) == 0);
	kit_must(ioctl(w->control, SIOCGIFFLAGS, &ifr) == 0);
	ifr.ifr_flags =
		(short)(up ? ifr.ifr_flags | IFF_UP : ifr.ifr_flags & ~IFF_UP);
	kit_must(ioctl(w->control, SIOCSIFFLAGS, &ifr) == 0);
}

static int host_side(void)
{
	struct sockaddr_ll addr = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETHERTYPE),
		.sll_ifindex = (int)if_nametoindex(TAP),
	};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,
			htons(ETHERTYPE));

	kit_must(fd >= 0);
	kit_must(bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0);
	return fd;
}

static int open_world(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct err err;
	int tap;

	if (!w)
		return -1;
	w->control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	tap = path_open(&path_direct, PATH_TAP, TAP, &err);
	kit_must(w->control >= 0 && tap >= 0);
	net_kit_open_fd(&w->net, tap);
	set_up_link(w, true, 0);
	w->net.peer = host_side();
	*state = w;
	return 0;
}

static int close_world(void **state)
{
	struct world *w = *state;

	net_kit_close(&w->net);
	(void)close(w->control);
	free(w);
	return 0;
}

static void kick(struct world *w, unsigned int queue)
{
	kit_kick(&w->net.kit, queue);
	kit_pump(&w->net.kit);
}

/* The kernel has words of its own (IPv6) on a new interface: skip them. */
static void assert_ours_comes(struct world *w, uint32_t len)
{
	struct net_kit *n = &w->net;
	struct kit_used used = {0};
	const uint8_t *frame;

	do {
		gpa_t gpa = net_kit_offer(n, 9100);

		kick(w, NET_QUEUE_RX);
		assert_true(kit_wait_used(&n->kit, NET_QUEUE_RX, &used));
		frame = (uint8_t *)kit_hva(&n->kit, gpa, 9100) + NET_HDR_BYTES;
	} while (load_le16(frame + 12) != htons(ETHERTYPE));
	assert_int_equal(used.len, NET_HDR_BYTES + len);
	assert_int_equal(frame[20], 0x22);
}

/* Both ways, until they went through: an interface that just came up may
 * need a moment. */
static void assert_traffic(struct world *w, uint32_t len)
{
	static const struct net_hdr none;
	struct net_kit *n = &w->net;
	static uint8_t frame[9100];
	struct kit_used used = {0};
	bool sent = false;

	for (int tries = 0; tries < 100 && !sent; tries++) {
		(void)net_kit_send(n, &none, len, 0x11);
		kick(w, NET_QUEUE_TX);
		assert_true(kit_used(&n->kit, NET_QUEUE_TX, &used));
		sent = recv(n->peer, frame, sizeof(frame), 0) == (int)len;
		if (!sent)
			kit_must(loop_step(&n->kit.loop, 50) == 0);
	}
	assert_true(sent);
	assert_int_equal(frame[20], 0x11);
	net_kit_frame(frame, len, 0x22);
	kit_must(send(n->peer, frame, len, 0) == (int)len);
	assert_ours_comes(w, len);
}

/* Everything that can be negotiated, and nothing. */
static void all_offloads(void **state)
{
	static const uint64_t some[] = {
		0,
		NET_F_GUEST_CSUM,
		NET_F_GUEST_TSO4, /* without its GUEST_CSUM */
		NET_F_GUEST_CSUM | NET_F_GUEST_ECN,
		NET_F_GUEST_CSUM | NET_F_GUEST_UFO,
		NET_F_GUEST_CSUM | NET_F_GUEST_TSO6 | NET_F_GUEST_ECN,
		NET_F_GUEST_CSUM | NET_F_GUEST_USO4,
	};
	struct world *w = *state;
	struct net_kit *n = &w->net;
	uint64_t offered = kit_offered(&n->kit);
	uint64_t uso = NET_F_GUEST_USO4 | NET_F_GUEST_USO6 | NET_F_HOST_USO;

	if (!tap_has_uso(n->tap))
		offered &= ~uso;
	for (size_t i = 0; i < ARRAY_SIZE(some); i++) {
		kit_start(&n->kit, some[i] & offered, 16);
		assert_traffic(w, 1000);
	}
	kit_start(&n->kit, offered & ~NET_F_MRG_RXBUF, 16);
	assert_traffic(w, 1000);
	kit_start(&n->kit, 0, 16);
	assert_traffic(w, 64);
}

static void large_mtu(void **state)
{
	struct world *w = *state;

	set_up_link(w, true, 9000);
	kit_start(&w->net.kit, 0, 16);
	assert_traffic(w, 9014);
}

/* The interface goes down and up: dropped and counted meanwhile, quiet. */
static void down_and_up(void **state)
{
	static const struct net_hdr none;
	struct world *w = *state;
	struct net_kit *n = &w->net;
	struct kit_used used = {0};

	kit_start(&n->kit, 0, 16);
	assert_traffic(w, 100);
	set_up_link(w, false, 0);
	for (int i = 0; i < 5; i++) {
		(void)net_kit_send(n, &none, 100, 1);
		kick(w, NET_QUEUE_TX);
		assert_true(kit_used(&n->kit, NET_QUEUE_TX, &used));
	}
	assert_int_equal(n->net->metrics.tap_write_fails, 5);
	set_up_link(w, true, 0);
	(void)close(n->peer);
	n->peer = host_side();
	assert_traffic(w, 100);
}

/* `ip link del`. */
static void delete_link(void)
{
	const struct {
		struct nlmsghdr head;
		struct ifinfomsg body;
	} request = {
		.head = {.nlmsg_len = sizeof(request),
			 .nlmsg_type = RTM_DELLINK,
			 .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
		.body = {.ifi_index = (int)if_nametoindex(TAP)},
	};
	struct {
		struct nlmsghdr head;
		struct nlmsgerr body;
		char rest[256];
	} reply;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	kit_must(send(fd, &request, sizeof(request), 0) > 0);
	kit_must(recv(fd, &reply, sizeof(reply), 0) > 0);
	kit_must(reply.head.nlmsg_type == NLMSG_ERROR && reply.body.error == 0);
	(void)close(fd);
}

/* It is deleted: the link goes down, the loop is quiet, the device lives. */
static void deleted(void **state)
{
	static const struct net_hdr none;
	struct world *w = *state;
	struct net_kit *n = &w->net;
	struct kit_used used = {0};
	struct pollfd p = {.fd = n->kit.loop.epoll_fd, .events = POLLIN};

	kit_start(&n->kit, 0, 16);
	assert_traffic(w, 100);
	(void)net_kit_offer(n, 2048);
	kick(w, NET_QUEUE_RX);
	delete_link();
	kit_pump(&n->kit);
	assert_int_equal(poll(&p, 1, 0), 0);
	assert_int_equal(n->net->rx.state, NET_RX_DOWN);
	assert_int_equal(kit_config(&n->kit, 6, 2), 0);
	(void)net_kit_send(n, &none, 100, 1);
	kick(w, NET_QUEUE_TX);
	assert_true(kit_used(&n->kit, NET_QUEUE_TX, &used));
	assert_false(kit_read(&n->kit, KIT_STATUS) & VIRTIO_STATUS_NEEDS_RESET);
	kit_start(&n->kit, 0, 16); /* even now a driver may start */
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(all_offloads),
		ROW(large_mtu),
		ROW(down_and_up),
		ROW(deleted),
	};

	/* In a chroot there are no user namespaces, but then this is root. */
	if (unshare(CLONE_NEWNET) < 0 &&
	    unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
		(void)fprintf(stderr, "no network namespace of its own\n");
		return 77; /* skipped */
	}
	if (access("/dev/net/tun", R_OK | W_OK) < 0) {
		(void)fprintf(stderr, "no usable /dev/net/tun\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
