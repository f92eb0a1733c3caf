/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vsock_pipe: joins a command's standard input and output with one vsock connection, in a guest: to a port
 * of the host, or from it.
 *
 *   vsock_pipe connect PORT COMMAND...
 *   vsock_pipe listen PORT COMMAND...
 */
#include <linux/vm_sockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int failed(const char *what)
{
	perror(what);
	return 1;
}

int main(int argc, char **argv)
{
	struct sockaddr_vm at = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST};
	int fd = socket(AF_VSOCK, SOCK_STREAM, 0);

	if (argc < 4 || fd < 0)
		return failed("usage: vsock_pipe connect|listen PORT COMMAND...");
	at.svm_port = (unsigned int)strtoul(argv[2], NULL, 10);
	if (strcmp(argv[1], "listen") == 0) {
		at.svm_cid = VMADDR_CID_ANY;
		if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 1) < 0)
			return failed("listen");
		fd = accept(fd, NULL, NULL);
		if (fd < 0)
			return failed("accept");
	} else if (connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
		return failed("connect");
	}
	if (dup2(fd, STDIN_FILENO) < 0 || dup2(fd, STDOUT_FILENO) < 0)
		return failed("dup2");
	close(fd);
	execvp(argv[3], argv + 3);
	return failed(argv[3]);
}
