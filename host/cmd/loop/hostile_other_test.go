//go:build !linux

package main

// hostile is a plugin that attacks its host, which confines it on Linux alone.
func hostile() {}
