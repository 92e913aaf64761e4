// Measures what a call through the boundary costs. Outside go.work: it runs the benchmarks of two commits and is of neither.
module github.com/loop-plugins/loop/tools/bench

go 1.26.0

require github.com/google/go-cmp v0.7.0
