"""MQTT with Home Assistant discovery (extra ``mqtt``)."""
