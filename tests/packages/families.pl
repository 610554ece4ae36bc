#!/usr/bin/perl
# families.pl FAMILIES PROGRAM...: runs the program as the service manager's RestrictAddressFamilies=FAMILIES does: a socket of any other family is
# refused with EAFNOSUPPORT, by a seccomp filter. x86-64 only.
use strict;
use warnings;
use Socket;
my %number = (AF_UNIX => AF_UNIX, AF_INET => AF_INET, AF_INET6 => AF_INET6, AF_NETLINK => 16, AF_PACKET => 17);
my @families = map { $number{$_} // die "families.pl: $_ is not known\n" } split ' ', shift;
my @code = ([0x20, 0, 0, 0], [0x15, 0, 1 + 2 * @families + 1, 41], [0x20, 0, 0, 16]);    # socket(2): its first argument
push @code, [0x15, 0, 1, $_], [0x06, 0, 0, 0x7fff0000] for @families;
push @code, [0x06, 0, 0, 0x00050000 | 97], [0x06, 0, 0, 0x7fff0000];
my $program = join '', map { pack 'SCCL', @$_ } @code;
my $fprog = pack 'Sx6P', scalar @code, $program;
syscall(157, 38, 1, 0, 0, 0) == 0 or die "families.pl: no_new_privs: $!\n";
syscall(157, 22, 2, $fprog, 0, 0) == 0 or die "families.pl: seccomp: $!\n";
exec @ARGV or die "families.pl: $ARGV[0]: $!\n";
