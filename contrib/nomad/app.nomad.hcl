# A Nomad job (1.4 or later, docker driver) for the image of `supervisor-d init docker main:app --workers auto`.
# Beyond one machine the scheduler is Nomad's: it places, probes and replaces; supervisor-d runs the workers inside.
job "app" {
  datacenters = ["dc1"]
  type        = "service"

  update {
    max_parallel     = 1
    canary           = 1
    auto_promote     = true
    auto_revert      = true
    health_check     = "checks"
    min_healthy_time = "10s"
    healthy_deadline = "5m"
  }

  group "app" {
    count = 2

    network {
      port "http" { to = 8000 }
      port "admin" { to = 9000 }
    }

    service {
      name     = "app"
      provider = "nomad"
      port     = "http"

      # Ready: a worker serves, and no stop was asked for.
      check {
        type     = "http"
        port     = "admin"
        path     = "/readyz"
        interval = "2s"
        timeout  = "1s"
      }
    }

    service {
      name     = "app-admin"
      provider = "nomad"
      port     = "admin"

      # Alive: the master answers; it looks after the workers. A task that does not is restarted.
      check {
        type     = "http"
        path     = "/healthz"
        interval = "10s"
        timeout  = "5s"

        check_restart {
          limit = 3
          grace = "60s"
        }
      }
    }

    task "app" {
      driver = "docker"

      # SIGTERM, then SIGKILL after the longest that a stop can take (shutdown-delay, graceful-timeout, 3 s) and 5 s more.
      # A client's max_kill_timeout (30 s unless set) has to allow for it.
      kill_signal  = "SIGTERM"
      kill_timeout = "43s"

      config {
        image           = "registry.example.com/app:1.0.0"
        args            = ["run", "main:app", "--workers", "auto", "--name", "app", "--shutdown-delay", "5s", "--bind", "0.0.0.0:8000", "--admin-bind", "0.0.0.0:9000"]
        ports           = ["http", "admin"]
        readonly_rootfs = true
        cap_drop        = ["all"]
        security_opt    = ["no-new-privileges"]
      }

      # `--workers auto` counts the CPUs that it may run on, and what fits into the memory.
      resources {
        cores  = 2
        memory = 512
      }
    }
  }
}
