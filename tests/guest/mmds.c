/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mmds.c - guest: asks the metadata service, by ARP, IPv4 and a little TCP
 *
 * For each `get=PATH` of the command line, in order, it opens a connection to
 * 169.254.169.254 (or `ip=`), prints the status and the body of what is
 * answered, and resets. `token` makes it ask for a session token first, and
 * send that along. With `again` it waits for a byte on the serial port after
 * the last one and does all once more, with the token that it has.
 */
#include "net.h"

enum {
	SIZE = 64,
	BUFFER = 2048,
	ETH = 14,
	IP = 20,
	TCP = 20,
	ANSWER = 16384,
	FIN = 1,
	SYN = 2,
	RST = 4,
	ACK = 16,
};

static struct virtio *net;
static uint64_t rx_memory;
static uint8_t *packet;
static uint8_t mac[6], peer[6];
static const uint8_t ip[4] = {169, 254, 0, 2};
static uint8_t service[4] = {169, 254, 169, 254};
static uint32_t seq, ack;
static uint16_t port = 40000;
static char answer[ANSWER + 1];
static size_t answer_len;
static char token[64];

static void put16(uint8_t *p, unsigned int v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static unsigned int get16(const uint8_t *p)
{
	return (unsigned int)p[0] << 8 | p[1];
}

static uint32_t get32(const uint8_t *p)
{
	return get16(p) << 16 | get16(p + 2);
}

static unsigned int add(unsigned int sum, const uint8_t *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		sum += i % 2 ? p[i] : (unsigned int)p[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

static void offer(unsigned int i)
{
	virtq_put(net->queue[NET_RX].desc, i, rx_memory + i * BUFFER, BUFFER,
		  VIRTQ_WRITE, 0);
	virtq_offer(&net->queue[NET_RX], (uint16_t)i);
}

/* The next frame, copied; 0 when none comes. */
static size_t receive(uint8_t *frame)
{
	struct virtq *q = &net->queue[NET_RX];
	struct virtq_used used;
	size_t len;

	if (!virtq_wait(q, &used))
		return 0;
	len = used.len - NET_HDR;
	memcpy(frame, (const void *)(rx_memory + used.head * BUFFER + NET_HDR),
	       len);
	offer(used.head);
	virtq_kick(q);
	return len;
}

static void send(size_t len)
{
	struct virtio_buf buf = {(uint64_t)packet, (uint32_t)(NET_HDR + len),
				 false};
	struct virtq *q = &net->queue[NET_TX];
	struct virtq_used used;

	virtq_add(q, &buf, 1);
	virtq_kick(q);
	if (!virtq_wait(q, &used))
		check(false, "sent");
}

static uint8_t *new_frame(const uint8_t *to, unsigned int type)
{
	uint8_t *frame = packet + NET_HDR;

	memset(packet, 0, NET_HDR + ETH + IP + TCP);
	memcpy(frame, to, 6);
	memcpy(frame + 6, mac, 6);
	put16(frame + 12, type);
	return frame;
}

static bool find_service(void)
{
	static const uint8_t all[6] = {255, 255, 255, 255, 255, 255};
	static const uint8_t ask[8] = {0, 1, 8, 0, 6, 4, 0, 1};
	static uint8_t got[BUFFER];
	uint8_t *frame = new_frame(all, 0x0806);
	size_t len;

	memcpy(frame + ETH, ask, sizeof(ask));
	memcpy(frame + ETH + 8, mac, 6);
	memcpy(frame + ETH + 14, ip, 4);
	memset(frame + ETH + 18, 0, 6);
	memcpy(frame + ETH + 24, service, 4);
	send(60);
	while ((len = receive(got))) {
		if (len < 42 || get16(got + 12) != 0x0806 ||
		    get16(got + ETH + 6) != 2)
			continue;
		memcpy(peer, got + ETH + 8, 6);
		return true;
	}
	return false;
}

static void send_segment(unsigned int flags, const char *data, size_t len)
{
	uint8_t *frame = new_frame(peer, 0x0800);
	uint8_t *head = frame + ETH, *tcp = head + IP;
	unsigned int sum;

	head[0] = 0x45;
	put16(head + 2, (unsigned int)(IP + TCP + len));
	head[8] = 64;
	head[9] = 6;
	memcpy(head + 12, ip, 4);
	memcpy(head + 16, service, 4);
	put16(head + 10, ~add(0, head, IP));
	put16(tcp, port);
	put16(tcp + 2, 80);
	put32(tcp + 4, seq);
	put32(tcp + 8, flags & ACK ? ack : 0);
	tcp[12] = TCP / 4 << 4;
	tcp[13] = (uint8_t)flags;
	put16(tcp + 14, 65535);
	memcpy(tcp + TCP, data, len);
	sum = add((unsigned int)(TCP + len) + 6, head + 12, 8);
	put16(tcp + 16, ~add(sum, tcp, TCP + len));
	send(ETH + IP + TCP + len);
}

/* The next segment of this connection. Return: its flags; 0: none came. */
static unsigned int receive_segment(void)
{
	static uint8_t frame[BUFFER];
	const uint8_t *head = frame + ETH, *tcp = head + IP;
	size_t len, skip;

	while ((len = receive(frame))) {
		if (len < ETH + IP + TCP || get16(frame + 12) != 0x0800 ||
		    head[9] != 6 || get16(tcp + 2) != port)
			continue;
		check(add(add((unsigned int)get16(head + 2) - IP + 6, head + 12,
			      8),
			  tcp, get16(head + 2) - IP) == 0xffff,
		      "checksum");
		skip = (size_t)(tcp[12] >> 4) * 4;
		len = get16(head + 2) - IP - skip;
		if (tcp[13] & SYN)
			ack = get32(tcp + 4) + 1;
		if (get32(tcp + 4) == ack && len &&
		    answer_len + len <= ANSWER) {
			memcpy(answer + answer_len, tcp + skip, len);
			answer_len += len;
			answer[answer_len] = 0;
			ack += (uint32_t)len;
			send_segment(ACK, "", 0);
		}
		return tcp[13];
	}
	return 0;
}

static const char *find(const char *text, const char *what)
{
	size_t n = 0, i;

	while (what[n])
		n++;
	for (i = 0; i + n <= answer_len; i++)
		if (!memcmp(text + i, what, n))
			return text + i;
	return 0;
}

/* Has as much come as the head says? */
static const char *body(void)
{
	const char *at = find(answer, "Content-Length: ");
	const char *end = find(answer, "\r\n\r\n");
	size_t want = 0;

	if (!at || !end)
		return 0;
	for (at += 16; *at >= '0' && *at <= '9'; at++)
		want = want * 10 + (size_t)(*at - '0');
	end += 4;
	return (size_t)(answer + answer_len - end) >= want ? end : 0;
}

static size_t append(char *to, size_t at, const char *text)
{
	while (*text && *text != ' ')
		to[at++] = *text++;
	return at;
}

/* One request on a connection of its own. Return: the body, or NULL. */
static const char *request(const char *method, const char *path,
			   const char *header)
{
	static char text[1024];
	const char *got;
	size_t n;

	n = append(text, 0, method);
	text[n++] = ' ';
	n = append(text, n, path);
	memcpy(text + n, " HTTP/1.1\r\n", 11);
	n = append(text, n + 11, header);
	if (token[0] && method[0] == 'G') {
		n = append(text, n, "X-metadata-token:");
		n = append(text, n, token);
		n = append(text, n, "\r\n");
	}
	n = append(text, n, "\r\n");
	answer_len = 0;
	port++;
	seq = port * 7919u;
	send_segment(SYN, "", 0);
	seq++;
	if ((receive_segment() & (SYN | ACK)) != (SYN | ACK))
		return 0;
	send_segment(ACK, text, n);
	seq += (uint32_t)n;
	for (got = 0; !got;) {
		if (!receive_segment())
			return 0;
		got = body();
	}
	send_segment(RST | ACK, "", 0);
	return got;
}

static void get_all(void)
{
	const char *at = machine.cmdline;

	for (; *at; at++) {
		const char *got;

		if (memcmp(at, "get=", 4))
			continue;
		got = request("GET", at + 4, "Accept:application/json\r\n");
		check(got, "answered");
		if (got)
			print("status %c%c%c body %s\n", answer[9], answer[10],
			      answer[11], got);
	}
}

static void get_token(void)
{
	const char *got = request("PUT", "/latest/api/token",
				  "X-metadata-token-ttl-seconds:60\r\n");

	check(got, "token");
	if (got)
		memcpy(token, got, 48);
}

void guest_main(void)
{
	unsigned int i;

	net = virtio_find(VIRTIO_NET, 0);
	check(net, "found");
	if (!net)
		return;
	rx_memory = virtio_alloc(SIZE * BUFFER);
	packet = (uint8_t *)virtio_alloc(NET_HDR + BUFFER);
	check(virtio_start(net, NET_F_MAC, SIZE), "start");
	for (i = 0; i < 6; i++)
		mac[i] = read8(net->base + VIRTIO_R_CONFIG + i);
	for (i = 0; i < SIZE; i++)
		offer(i);
	virtq_kick(&net->queue[NET_RX]);
	check(find_service(), "arp");
	if (cmdline_has("token"))
		get_token();
	get_all();
	if (!cmdline_has("again"))
		return;
	print("again\n");
	while (!(in8(COM1 + 5) & 1))
		cpu_pause();
	(void)in8(COM1);
	get_all();
}
