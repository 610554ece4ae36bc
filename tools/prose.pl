#!/usr/bin/perl
# The prose lint: lists sentences that break the rules of CONTRIBUTING.md, by file and line, and fails for them. Arguments: the files to look at;
# none: all. `--count` prints a number for each folder instead.
#
# In all prose (documents, man pages, comments of sources, scripts and settings, --help, the page): no sentence whose subject is "who ..." or "what ...", no "so many".
# In README, --help, the page, and the comment at the top of each C file: no sentence over 25 words.
# --help is read from the programs in build/, where they are built.
use strict;
use warnings;
use utf8;
use open qw(:std :encoding(UTF-8));

use constant WORDS_MAX => 25;
my (%found, $total);
my $counts_only = @ARGV && $ARGV[0] eq '--count' && shift;

sub complain {
	my ($place, $rule, $text) = @_;
	(my $folder = $place) =~ s{(/[^/]*)?:\d+$}{};
	$found{$folder}++;
	$total++;
	$text =~ s/^(.{400}).+/$1.../;
	print "$place: $rule: $text\n" unless $counts_only;
}

# One paragraph of prose, free of markup.
sub paragraph {
	my ($place, $text, $is_short) = @_;
	$text =~ s/\s+/ /g;
	$text =~ s/^ | $//g;
	my @sentences = split /(?<=[.!?…])["”»)]*\s+(?=["“«(]?[\p{Lu}\d\`.-])/, $text;
	for my $s (@sentences) {
		next if $s eq '';
		my $words = () = $s =~ /[\p{L}\d][^\s]*/g;
		complain($place, "$words words", $s) if $is_short && $words > WORDS_MAX;
		complain($place, 'subject', $s)
			if $s =~ /(?:^["“«(]?|; )(?:Who(?:ever)?|What(?:ever)?|Кто|Тот, кто|Те, кто)\b(?!.*\?)/i && ($is_short || $s =~ /[.]$/); # else it may be no sentence: a noun of a few words
		complain($place, 'phrase', $s) if $s =~ /(?<!\")\bso many\b|\bnone of ours\b|\bso much of it\b/i;
	}
}

sub slurp {
	my ($file) = @_;
	open my $in, '<', $file or return '';
	local $/;
	return scalar <$in>;
}

sub blocks { # (FILE, LINES, IS_SHORT): paragraphs are parted by empty lines and list items
	my ($file, $lines, $is_short) = @_;
	my ($text, $at) = ('', 0);
	for my $i (0 .. $#$lines + 1) {
		my $line = $i <= $#$lines ? $lines->[$i] : '';
		if ($line =~ /^\s*$/ || $line =~ /^\s*(?:[-*•–]|\d+[.)]|#+)\s/) {
			paragraph("$file:$at", $text, $is_short) if $text ne '';
			$text = '';
		}
		next if $line =~ /^\s*$/;
		$at = $i + 1 if $text eq '';
		$line =~ s/^\s*(?:[-*•–]|\d+[.)]|#+)\s+//;
		$text .= " $line";
	}
}

sub markdown {
	my ($file) = @_;
	my @lines;
	my $is_code = 0;
	for (split /\n/, slurp($file)) {
		if (/^\s*```/) { $is_code = !$is_code; push @lines, ''; next; }
		if ($is_code || /^\s*\|[-| :]*$/) { push @lines, ''; next; }
		s/`[^`]*`/`x`/g;
		s/!?\[([^\]]*)\]\([^)]*\)/$1/g;
		s/[*_]{1,2}(?=\S)|(?<=\S)[*_]{1,2}//g;
		if (/^#/) { push @lines, ''; next; }
		# The cells of a table stand for themselves; the table of CONTRIBUTING.md has bad samples.
		if (/^\s*\|/) {
			push @lines, '';
			next if $file eq 'CONTRIBUTING.md';
			paragraph("$file:" . @lines, $_, $file =~ /^README/) for split /\s*\|\s*/;
			next;
		}
		push @lines, $_;
	}
	blocks($file, \@lines, $file =~ /^README/);
}

sub man {
	my ($file) = @_;
	my @lines;
	my $is_code = 0;
	for (split /\n/, slurp($file)) {
		$is_code = 1 if /^\.Bd/;
		if (/^\.Ed/) { $is_code = 0; push @lines, ''; next; }
		if ($is_code || /^\.(Pp|Sh|It|Bl|El|Dl|D1|Dd|Dt|Os|Nd|Ss|\\")/) { push @lines, ''; next; }
		s/^\.[A-Z][a-z]\s+\S.*?((?:\s[.,;:)]+)?)$/`x`$1/;
		s/^\.[A-Z][a-z]$//;
		push @lines, $_;
	}
	blocks($file, \@lines, 0);
}

sub c_source {
	my ($file) = @_;
	my $text = slurp($file);
	my $is_top = 1;
	while ($text =~ m{/\*(.*?)\*/|"(?:[^"\\]|\\.)*"}gs) {
		next unless defined $1;
		my ($comment, $start) = ($1, $-[1]);
		my $line = 1 + (substr($text, 0, $start) =~ tr/\n//);
		my @lines = map { s/^\s*\*(?!\*) ?//r } split /\n/, $comment, -1;
		# Drawings and samples are no prose.
		$_ = /[─│┌┐└┘▶◀▲▼→]|^\s{6,}|^\s{2,}\S.*\s{3}/ ? '' : $_ for @lines;
		$lines[0] =~ s{^\s*[a-z_]+\.[ch]\s*[—–-]\s*}{};
		unshift @lines, ('') x ($line - 1);
		blocks($file, \@lines, $is_top);
		$is_top = 0;
	}
}

sub hash_comments {
	my ($file) = @_;
	my @lines = map { /^\s*#(?!!)\s?(.*)/ || /\s{2,}## (.*)/ ? $1 : '' } split /\n/, slurp($file);
	# Settings and code that are commented out are no prose.
	$_ = /^[A-Z_]+=|^\s{3,}|^[a-z]+:|^-{3}/ ? '' : $_ for @lines;
	blocks($file, \@lines, 0);
}

sub language {
	my ($file) = @_;
	my $line = 0;
	for (split /\n/, slurp($file)) {
		$line++;
		next if m{^\s*//};
		paragraph("$file:$line", $1, 1) while /: ['`]((?:[^'\\]|\\.)*)['`]/g;
	}
}

sub help {
	my (@command) = @_;
	return unless -x $command[0];
	open my $in, '-|', @command or return;
	my $n = 0;
	while (<$in>) {
		$n++;
		chomp;
		next if /^\s*\[|^usage:/;
		s/^\s+(?:--\S+(?: [A-Z][A-Z:-]*)?|[a-z-]+(?: \[?[A-Z|a-z.-]+\]?)*)\s{2,}//;
		paragraph("$command[0] @command[1 .. $#command]:$n", $_, 1);
	}
	close $in;
}

my @files = grep { -f } @ARGV ? @ARGV : (glob('*.md docs/*.md man/*.[1-8] packaging/INSTALL core/*/*.[ch] cmd/*/*.[ch] tools/*.c tools/*/*.[ch] assets/js/base/lang/*.js ' .
	'packaging/* packaging/deb/* tools/*.sh .ci/run Makefile Dockerfile render.yaml'));
for my $file (@files) {
	if ($file =~ /\.md$|INSTALL$/) { markdown($file) unless $file eq 'BENCH.md'; }
	elsif ($file =~ /\.[1-8]$/) { man($file); }
	elsif ($file =~ /\.[ch]$/) { c_source($file); }
	elsif ($file =~ /\.js$/) { language($file); }
	else { hash_comments($file); }
}
if (!@ARGV) {
	help('build/wavechatd', '--help');
	help('build/wavechatd', '--help', 'all');
	help('build/wavechatctl', '--help');
}
if ($counts_only) { printf "%5d  %s\n", $found{$_}, $_ for sort keys %found; }
if ($total) { print STDERR "prose: $total sentences to rewrite; the rules are in CONTRIBUTING.md\n"; exit 1; }
print "prose: clean\n";
