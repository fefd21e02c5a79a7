"""What the operating system and the service manager offer: signals, sd_notify, cgroups, standard streams."""
