// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An interrupt each second, from the machine's clock (its update-ended interrupt, MC146818), for as long as this runs.
 *
 * QEMU 7.2 changes a CPU's word of pending interrupts without its lock where VMRUN begins and ends
 * (target/i386/tcg/sysemu/svm_helper.c), so that one which another thread adds in that moment is lost. If it was the
 * host's timer, nothing wakes the host until another interrupt comes, and to a host whose guests only wait for each
 * other none may. This one does, and what is pending is taken with it.
 */
#include <fcntl.h>
#include <linux/rtc.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

int main(void)
{
	int clock = open("/dev/rtc0", O_RDONLY | O_CLOEXEC);
	unsigned long ticks;

	if (clock < 0 || ioctl(clock, RTC_UIE_ON, 0) < 0) {
		perror("rig: /dev/rtc0");
		return 1;
	}
	while (read(clock, &ticks, sizeof(ticks)) == (ssize_t)sizeof(ticks))
		;
	return 0;
}
