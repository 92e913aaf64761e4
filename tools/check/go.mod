// The project's own checks, outside go.work: they judge the workspace and must not choose its versions.
module github.com/loop-plugins/loop/tools/check

go 1.26.0

require github.com/google/go-cmp v0.7.0
