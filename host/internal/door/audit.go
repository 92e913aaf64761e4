package door

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"connectrpc.com/connect"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
)

// refused tells the audit of a refusal.
func (d *Door) refused(r *http.Request, who caller, err *connect.Error) {
	outcome := "refused: " + err.Message()
	if who.key == "" {
		line, without := d.strangers.Refuse()
		if !line {
			return
		}
		if without > 0 {
			outcome += fmt.Sprintf("; %d more in the minutes before have no line", without)
		}
	}
	d.audit(r.Context(), slog.LevelWarn, who, r.URL.Path, "", outcome)
}

// auditor is an interceptor that logs every change, when it has been made or has failed.
func (d *Door) auditor() connect.Interceptor {
	return connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
			reply, err := next(ctx, request)
			if request.Spec().IdempotencyLevel == connect.IdempotencyNoSideEffects {
				return reply, err
			}
			who, _ := ctx.Value(callerKey{}).(caller)
			level, outcome := slog.LevelInfo, "done"
			if err != nil {
				level, outcome = slog.LevelWarn, "failed: "+connect.CodeOf(err).String()
			}
			var answered any
			if err == nil {
				answered = reply.Any()
			}
			d.audit(ctx, level, who, request.Spec().Procedure, object(request.Any(), answered), outcome)
			return reply, err
		}
	})
}

// object names the object of a change without a secret: a job by its number, a bridge by its name.
func object(request, reply any) string {
	switch q := request.(type) {
	case *nodev1.RestartPluginRequest:
		return "plugin " + q.GetName()
	case *nodev1.AddJobRequest:
		if r, ok := reply.(*nodev1.AddJobResponse); ok {
			return fmt.Sprintf("job %d", r.GetJob().GetId())
		}
		return "job"
	case *nodev1.RevealJobRequest:
		return fmt.Sprintf("job %d", q.GetId())
	case *nodev1.RemoveJobRequest:
		return fmt.Sprintf("job %d", q.GetId())
	case *nodev1.CreateKeyRequest:
		if r, ok := reply.(*nodev1.CreateKeyResponse); ok {
			return "key " + r.GetKey().GetId()
		}
		return "key"
	case *nodev1.ImportKeyRequest:
		if r, ok := reply.(*nodev1.ImportKeyResponse); ok {
			return "key " + r.GetKey().GetId()
		}
		return "key"
	case *nodev1.ExportKeyRequest:
		return "key " + q.GetId()
	case *nodev1.TransferCoinsRequest:
		return fmt.Sprintf("%.32s from %.48s to %.48s", q.GetAmount(), q.GetFrom(), q.GetTo())
	case *nodev1.AddBridgeRequest:
		return "bridge " + q.GetBridge().GetName()
	case *nodev1.UpdateBridgeRequest:
		return "bridge " + q.GetBridge().GetName()
	case *nodev1.SetLogLevelRequest:
		return "log level " + q.GetLevel()
	case *nodev1.RevealBridgeRequest:
		return "bridge " + q.GetName()
	case *nodev1.RemoveBridgeRequest:
		return "bridge " + q.GetName()
	case *nodev1.CreateTokenRequest:
		return fmt.Sprintf("token %s of role %s", q.GetName(), RoleName(q.GetRole()))
	case *nodev1.RevokeTokenRequest:
		return "token " + q.GetName()
	}
	return ""
}

// longestObject bounds what a caller may write into the log.
const longestObject = 128

func (d *Door) audit(
	ctx context.Context, level slog.Level, who caller, procedure, object, outcome string,
) {
	Audit(ctx, d.logger, level, who.name, method(procedure), object, outcome)
}

// Audit writes a line of the audit: the caller, the method, the object and the outcome.
func Audit(
	ctx context.Context, logger *slog.Logger, level slog.Level, who slog.Attr, method, object, outcome string,
) {
	logger.LogAttrs(ctx, level, "audit", slog.Attr{Key: "audit", Value: slog.GroupValue(
		who,
		slog.String("method", method),
		slog.String("object", fmt.Sprintf("%.*s", longestObject, object)),
		slog.String("outcome", outcome),
	)})
}

// method is a procedure's name for people. It does not repeat names that callers make up.
func method(procedure string) string {
	if _, known := roles[procedure]; !known {
		return "unknown"
	}
	return procedure[strings.LastIndex(procedure, "/")+1:]
}
