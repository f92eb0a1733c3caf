# The unified hierarchy is there with the controllers that a VM's cgroup sets.
want_equal "$(stat -f -c %T /sys/fs/cgroup)" cgroup2fs
for controller in cpu io memory pids; do
	want grep -qw "$controller" /sys/fs/cgroup/cgroup.subtree_control
done
group=/sys/fs/cgroup/case-$$
want mkdir "$group"
at_end rmdir "$group"
want test -e "$group/memory.max"
