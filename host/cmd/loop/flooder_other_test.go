//go:build !linux

package main

// floodHost is a plugin that floods its host, whose memory Linux alone tells.
func floodHost() {}

// bare takes Landlock from a program, which Linux alone has.
func bare() {}
