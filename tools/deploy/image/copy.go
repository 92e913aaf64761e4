package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// copy is COPY: from the context less what .dockerignore names, or from an earlier stage.
func (s *stage) copy(c *instructions.CopyCommand) error {
	if len(c.SourceContents) > 0 || len(c.ExcludePatterns) > 0 || c.Link || c.Parents || c.Chown != "" {
		return errors.New("only --from and --chmod are known here")
	}
	from, ignored := s.builder.Context, (*patternmatcher.PatternMatcher)(nil)
	if c.From == "" {
		var err error
		if ignored, err = ignore(from); err != nil {
			return err
		}
	} else {
		earlier, known := s.before[c.From]
		if !known {
			return fmt.Errorf("there is no earlier stage %q", c.From)
		}
		from = earlier.Root
	}
	mode := fs.FileMode(0)
	if c.Chmod != "" {
		parsed, err := strconv.ParseUint(c.Chmod, 8, 12)
		if err != nil {
			return fmt.Errorf("--chmod=%s: %w", c.Chmod, err)
		}
		mode = fs.FileMode(parsed)
	}
	to := c.DestPath
	if !filepath.IsAbs(to) {
		to = filepath.Join(s.image.Dir, c.DestPath)
	}
	into := strings.HasSuffix(c.DestPath, "/") || len(c.SourcePaths) > 1
	for _, source := range c.SourcePaths {
		copier := copier{from: from, ignored: ignored, mode: mode}
		target := filepath.Join(s.image.Root, to)
		info, err := os.Stat(filepath.Join(from, source))
		if err == nil && !info.IsDir() && into {
			target = filepath.Join(target, filepath.Base(source))
		}
		if err == nil {
			err = copier.copy(filepath.Clean("/" + source)[1:], target)
		}
		if err != nil {
			return fmt.Errorf("copy %s: %w", source, err)
		}
		if copier.files == 0 {
			return fmt.Errorf("copy %s: it holds no file that .dockerignore leaves in", source)
		}
	}
	return nil
}

func ignore(context string) (*patternmatcher.PatternMatcher, error) {
	file, err := os.Open(filepath.Join(context, ".dockerignore"))
	if errors.Is(err, fs.ErrNotExist) {
		return patternmatcher.New(nil)
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	patterns, err := ignorefile.ReadAll(file)
	if err != nil {
		return nil, fmt.Errorf("read .dockerignore: %w", err)
	}
	return patternmatcher.New(patterns)
}

type copier struct {
	from    string
	ignored *patternmatcher.PatternMatcher // nil leaves nothing out
	mode    fs.FileMode                    // 0 keeps each file's
	files   int
}

// copy copies the file or folder at name, below from, to the path target.
func (c *copier) copy(name, target string) error {
	return filepath.WalkDir(filepath.Join(c.from, name), func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(c.from, path)
		if err != nil {
			return err
		}
		rest, err := filepath.Rel(name, below)
		if err != nil {
			return err
		}
		if c.ignored != nil {
			leave, err := c.ignored.MatchesOrParentMatches(below)
			if err != nil {
				return err
			}
			if leave {
				return nil // but not what is below: a later pattern may want it
			}
		}
		return c.place(path, filepath.Join(target, rest), entry)
	})
}

func (c *copier) place(path, target string, entry fs.DirEntry) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	mode := info.Mode().Perm()
	if c.mode != 0 {
		mode = c.mode
	}
	switch {
	case entry.IsDir():
		return os.MkdirAll(target, 0o755)
	case info.Mode().IsRegular():
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.WriteFile(target, content, 0o600); err != nil {
			return err
		}
		c.files++
	default:
		return fmt.Errorf("%s is neither a file nor a folder", path)
	}
	if err := os.Chmod(target, mode); err != nil {
		return err
	}
	return own(target, 0, 0)
}
