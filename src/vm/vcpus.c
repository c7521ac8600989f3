// SPDX-License-Identifier: Apache-2.0
/*
 * vcpus.c - the threads that run the vCPUs (theory of operation: vcpus.h)
 */
#include "vm/vcpus.h"

#include "base/log.h"
#include "host/clock.h"
#include "sandbox/stage.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define INTERRUPT_SIGNAL SIGRTMIN
#define VCPU_STACK_BYTES KIB(128)

/* Exists so that the signal interrupts KVM_RUN; immediate_exit does the rest.
 */
static void vcpus_on_signal(int sig)
{
	(void)sig;
}

void vcpus_init(struct vcpus *set, struct exits *exits)
{
	pthread_condattr_t attr;

	memset(set, 0, sizeof(*set));
	set->exits = exits;
	set->pid = getpid();
	(void)pthread_mutex_init(&set->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&set->changed, &attr);
	(void)pthread_condattr_destroy(&attr);
	for (unsigned int i = 0; i < CONFIG_VCPUS_MAX; i++)
		set->vcpu[i].kvm.fd = -1;
}

int vcpus_create(struct vcpus *set, struct kvm_vm *vm, unsigned int nr,
		 struct err *err)
{
	for (unsigned int i = 0; i < nr; i++) {
		int r = kvm_vcpu_init(&set->vcpu[i].kvm, vm, i, err);

		if (r < 0)
			return r;
		set->vcpu[i].set = set;
		set->nr = i + 1;
	}
	return 0;
}

/* Return: false when the thread shall end. */
static bool park(struct vcpu *vcpu)
{
	struct vcpus *set = vcpu->set;
	bool go_on;

	(void)pthread_mutex_lock(&set->lock);
	set->parked++;
	assert(set->parked + set->ended <= set->nr);
	(void)pthread_cond_broadcast(&set->changed);
	while (set->wanted == VCPUS_PAUSE)
		(void)pthread_cond_wait(&set->changed, &set->lock);
	assert(set->parked > 0);
	set->parked--;
	go_on = set->wanted == VCPUS_RUN;
	if (go_on)
		vcpu->kvm.run->immediate_exit = 0;
	(void)pthread_mutex_unlock(&set->lock);
	return go_on;
}

/* The last thing before guest code. Return: may there be any? */
static bool confine(struct vcpu *vcpu)
{
	const struct vm_env *env = &vcpu->set->exits->board->env;
	int r = sandbox_thread(env->sandbox, SANDBOX_VCPU);

	if (r == 0)
		return true;
	log_error("The seccomp filter of vCPU %u cannot be loaded: %s",
		  vcpu->kvm.id, err_name(r));
	env_end(env, VM_END_HOST);
	return false;
}

/*
 * Nobody runs the guest before all have their filters: a guest that takes over
 * the first thread shall not find another one open. Return: what is wanted of
 * this one, then.
 */
static enum vcpus_wanted await_all(struct vcpus *set, bool confined)
{
	enum vcpus_wanted wanted;

	(void)pthread_mutex_lock(&set->lock);
	set->confined += confined;
	if (set->confined == set->nr)
		(void)pthread_cond_broadcast(&set->changed);
	while (set->confined < set->nr && set->wanted != VCPUS_STOP)
		(void)pthread_cond_wait(&set->changed, &set->lock);
	wanted = confined ? set->wanted : VCPUS_STOP;
	(void)pthread_mutex_unlock(&set->lock);
	return wanted;
}

/*
 * A thread that begins parked is not waited for, but may be later. Its own
 * signal keeps it out of the guest: without that it does not try. Return: as
 * kvm_vcpu_enter_ahead().
 */
static int vcpus_enter_ahead(struct vcpu *vcpu)
{
	int tid = atomic_load(&vcpu->tid);
	int r = -EINTR;
	sigset_t own;

	(void)sigemptyset(&own);
	(void)sigaddset(&own, INTERRUPT_SIGNAL);
	(void)pthread_sigmask(SIG_BLOCK, &own, NULL);
	if (syscall(SYS_tgkill, vcpu->set->pid, tid, INTERRUPT_SIGNAL) == 0)
		r = kvm_vcpu_enter_ahead(&vcpu->kvm, INTERRUPT_SIGNAL);
	(void)pthread_sigmask(SIG_UNBLOCK, &own, NULL);
	return r;
}

/* What a KVM_RUN said. Return: false when the thread shall end. */
static bool vcpus_handle(struct vcpu *vcpu, int r)
{
	if (r == -EINTR || r == -EAGAIN)
		return park(vcpu);
	return exits_handle(vcpu->set->exits, &vcpu->kvm, r);
}

static void *vcpu_main(void *arg)
{
	struct vcpu *vcpu = arg;
	struct vcpus *set = vcpu->set;
	enum vcpus_wanted wanted;
	int ahead = -EINTR;
	char name[16];
	bool go_on;

	(void)snprintf(name, sizeof(name), "fc_vcpu %u", vcpu->kvm.id);
	log_name_thread(name);
	atomic_store(&vcpu->tid, (int)syscall(SYS_gettid));
	if (set->ahead)
		ahead = vcpus_enter_ahead(vcpu);
	wanted = await_all(set, confine(vcpu));
	go_on = wanted == VCPUS_RUN || (wanted == VCPUS_PAUSE && park(vcpu));
	if (vcpu->kvm.id == 0)
		env_mark(&set->exits->board->env, TIMELINE_FIRST_RUN);
	if (go_on && ahead != -EINTR && ahead != -EAGAIN)
		go_on = vcpus_handle(vcpu, ahead);
	while (go_on)
		go_on = vcpus_handle(vcpu, kvm_vcpu_run(&vcpu->kvm));
	(void)pthread_mutex_lock(&set->lock);
	set->ended++;
	assert(set->parked + set->ended <= set->nr);
	(void)pthread_cond_broadcast(&set->changed);
	(void)pthread_mutex_unlock(&set->lock);
	return NULL;
}

/*
 * vCPU threads take only this signal: everything else is the VMM thread's.
 * Faults (SIGBUS...) reach the thread that made them, mask or not.
 */
static int start_one(struct vcpu *vcpu, struct err *err)
{
	pthread_attr_t attr;
	sigset_t mask, old;
	int r;

	(void)sigfillset(&mask);
	(void)sigdelset(&mask, INTERRUPT_SIGNAL);
	(void)sigdelset(&mask, SIGBUS);
	(void)sigdelset(&mask, SIGSEGV);
	(void)sigdelset(&mask, SIGILL);
	(void)sigdelset(&mask, SIGSYS);
	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setstacksize(&attr, VCPU_STACK_BYTES);
	(void)pthread_sigmask(SIG_SETMASK, &mask, &old);
	r = pthread_create(&vcpu->thread, &attr, vcpu_main, vcpu);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	(void)pthread_attr_destroy(&attr);
	if (r != 0)
		return err_set(err, -r,
			       "Cannot start the thread of vCPU %u: %s",
			       vcpu->kvm.id, err_name(r));
	vcpu->started = true;
	return 0;
}

/* Threads wait for the lock: none runs the guest before this thread, too, has
 * its filter. */
int vcpus_start(struct vcpus *set, enum vcpus_wanted wanted, struct err *err)
{
	struct sigaction action = {.sa_handler = vcpus_on_signal};
	int r = 0;

	(void)sigaction(INTERRUPT_SIGNAL, &action, NULL);
	(void)pthread_mutex_lock(&set->lock);
	/* It may have come to its end before its first instruction. */
	set->wanted = env_ended(&set->exits->board->env) ? VCPUS_STOP : wanted;
	for (unsigned int i = 0; i < set->nr && r == 0; i++)
		r = start_one(&set->vcpu[i], err);
	if (r == 0) {
		r = sandbox_thread(set->exits->board->env.sandbox, SANDBOX_VMM);
		if (r < 0)
			(void)err_set(err, r,
				      "The seccomp filter of the VMM thread "
				      "cannot be loaded: %s",
				      err_name(r));
	}
	if (r < 0)
		set->wanted = VCPUS_STOP;
	(void)pthread_mutex_unlock(&set->lock);
	return r;
}

/*
 * Not pthread_kill(), which in some C libraries names no process: a filter
 * could not keep the signal within this one. A thread without a number has not
 * looked at `wanted` yet; one that has ended hears nothing.
 */
static void vcpus_interrupt(struct vcpu *vcpu)
{
	int tid = atomic_load(&vcpu->tid);

	if (tid != 0)
		(void)syscall(SYS_tgkill, vcpu->set->pid, tid,
			      INTERRUPT_SIGNAL);
}

static void request(struct vcpus *set, enum vcpus_wanted wanted)
{
	(void)pthread_mutex_lock(&set->lock);
	set->wanted = wanted;
	for (unsigned int i = 0; i < set->nr; i++)
		if (wanted != VCPUS_RUN)
			set->vcpu[i].kvm.run->immediate_exit = 1;
	(void)pthread_mutex_unlock(&set->lock);
	/* Behind the lock, which those who wake up take. */
	(void)pthread_cond_broadcast(&set->changed);
	if (wanted == VCPUS_RUN)
		return;
	for (unsigned int i = 0; i < set->nr; i++)
		if (set->vcpu[i].started)
			vcpus_interrupt(&set->vcpu[i]);
}

int vcpus_pause(struct vcpus *set)
{
	uint64_t end = now_ns() + VCPUS_PAUSE_NS;
	const struct timespec until = {
		.tv_sec = (time_t)(end / 1000000000),
		.tv_nsec = (long)(end % 1000000000),
	};
	int r = 0;

	request(set, VCPUS_PAUSE);
	(void)pthread_mutex_lock(&set->lock);
	while (set->parked + set->ended < set->nr && r == 0)
		r = pthread_cond_timedwait(&set->changed, &set->lock, &until);
	if (set->parked + set->ended == set->nr)
		r = 0;
	(void)pthread_mutex_unlock(&set->lock);
	if (r != 0) {
		vcpus_resume(set);
		return -ETIME;
	}
	for (unsigned int i = 0; i < set->nr; i++)
		if (kvm_vcpu_tell_paused(&set->vcpu[i].kvm) < 0)
			metric_inc(&set->exits->counters.kvmclock_ctrl_fails);
	return 0;
}

void vcpus_resume(struct vcpus *set)
{
	request(set, VCPUS_RUN);
}

void vcpus_stop(struct vcpus *set)
{
	request(set, VCPUS_STOP);
}

void vcpus_fini(struct vcpus *set)
{
	vcpus_stop(set);
	for (unsigned int i = 0; i < set->nr; i++) {
		if (set->vcpu[i].started)
			(void)pthread_join(set->vcpu[i].thread, NULL);
		set->vcpu[i].started = false;
	}
	exits_tell_fault(set->exits);
	for (unsigned int i = 0; i < CONFIG_VCPUS_MAX; i++)
		kvm_vcpu_fini(&set->vcpu[i].kvm);
	(void)pthread_cond_destroy(&set->changed);
	(void)pthread_mutex_destroy(&set->lock);
	set->nr = 0;
}
